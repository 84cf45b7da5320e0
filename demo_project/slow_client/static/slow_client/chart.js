/** A line over the last minute, as SVG. Its figures are text beside it, so nobody has to see it. */

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 600;
const HEIGHT = 100;
export const SPAN = 60; // seconds

export class Chart {
  #line = shape("polyline", { class: "line" });
  #area = shape("polygon", { class: "area" });

  constructor() {
    const box = { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none" };
    this.svg = shape("svg", { ...box, "aria-hidden": "true" });
    for (const share of [0, 0.5, 1]) {
      const y = HEIGHT * share;
      this.svg.append(shape("line", { class: "grid", x1: 0, x2: WIDTH, y1: y, y2: y }));
    }
    this.svg.append(this.#area, this.#line);
  }

  /**
   * Draw samples, of which each is `[time, value]`, the newest at the right edge.
   *
   * @param {[number, number][]} samples
   * @param {number} top The value of the upper edge.
   */
  draw(samples, top) {
    const end = samples.at(-1)?.[0] ?? 0;
    const points = samples.map(([time, value]) => [
      Math.round(WIDTH * (1 - (end - time) / SPAN) * 10) / 10,
      Math.round(HEIGHT * (1 - value / top) * 10) / 10,
    ]);
    const [first] = points;
    this.#line.setAttribute("points", points.join(" "));
    const floor = first ? [[WIDTH, HEIGHT], [first[0], HEIGHT]] : [];
    this.#area.setAttribute("points", [...points, ...floor].join(" "));
  }
}

/** Return the least of 1, 2, 3, 4, 5, 10, 20 … that is as large as a value. */
export function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1)));
  return power * [1, 2, 3, 4, 5, 10].find((each) => each * power >= value);
}

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
