/** The page of the slow client: two servers side by side, on one scale. */

import { Gateway } from "arcly-channels";

import { Chart, ceiling } from "./chart.js";
import { Side } from "./side.js";

const PATH = "/ws/slow-client/";

/** By key: name, unit, decimals, and the least that the scale goes up to. */
const MEASURES = {
  memory: ["Memory", "MB", 0, 100],
  waiting: ["Waiting for clients", "MB", 1, 20],
  evictions: ["Evicted", "clients", 0, 20],
  deliveries: ["Deliveries", "a second", 0, 100],
};

const $ = (selector) => document.querySelector(selector);
const { stock, clients } = $(".slow").dataset;

// Stock Channels speaks no `arcly.v1`; the same client talks to it in bare envelopes.
const theirs = stock ? new Gateway(stock + PATH, { bare: true }) : null;
const sides = [
  new Side("arcly_channels", new Gateway(PATH), $(".ours .state"), show),
  new Side("Stock Channels", theirs, $(".stock .state"), show),
];
const [ours, other] = sides;
const rows = Object.entries(MEASURES).map(([key, measure]) => row(key, measure));
let wasRunning = false;
let wasEvicted = false;

/** Make the rows of a measure: its name, and below that a cell for each server. */
function row(key, [name, unit, decimals, least]) {
  const head = element("th", { colSpan: 2, scope: "rowgroup", textContent: name });
  const scale = element("span", { className: "scale" });
  head.append(scale);
  const cells = sides.map((side, number) => {
    const value = element("strong", { textContent: "–" });
    const most = element("span", { className: "most" });
    const chart = new Chart();
    const text = element("p", {}, value, ` ${unit} `, most);
    const cell = element("td", { className: number ? "stock" : "ours" }, text, chart.svg);
    return { side, value, most, chart, cell };
  });
  const group = element("tbody", {}, element("tr", {}, head));
  group.append(element("tr", {}, ...cells.map(({ cell }) => cell)));
  $("table").append(group);
  return { key, unit, decimals, least, scale, cells };
}

function show() {
  for (const { key, unit, decimals, least, scale, cells } of rows) {
    const top = Math.max(least, ceiling(Math.max(...sides.map((side) => side.most(key)))));
    scale.textContent = `0 to ${written(top, 0)} ${unit}`;
    for (const { side, value, most, chart } of cells) {
      value.textContent = side.last ? written(side.last[key], decimals) : "–";
      const highest = `at most ${written(side.most(key), decimals)}`;
      most.textContent = !side.last ? "" : key === "evictions" ? `of ${clients}` : highest;
      chart.draw(side.samples.map((sample) => [sample.time, sample[key]]), top);
    }
  }
  report();
}

/** Say what happens, and each thing once: this is read out. */
function report() {
  const isRunning = sides.some((side) => side.isRunning);
  const evicted = ours.last?.evictions ?? 0;
  if (!wasEvicted && evicted >= clients) {
    say(`arcly_channels has evicted all ${evicted} stalled clients.`);
    wasEvicted = true;
  }
  if (wasRunning && !isRunning && ours.last) say(`The broadcast is over. ${outcome()}`);
  $("#broadcast").disabled = isRunning;
  wasRunning = isRunning;
}

function outcome() {
  const kept = sides.filter((side) => side.last).map(({ name, last, samples }) => {
    const grown = last.memory - samples[0].memory;
    return `${name}: ${written(Math.max(0, grown), 0)} MB more than at the start`;
  });
  return `${kept.join("; ")}.`;
}

function written(value, decimals) {
  return value.toLocaleString("en", { maximumFractionDigits: decimals });
}

function say(text) {
  $("[role=status]").textContent = text;
}

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

$("#stall").onclick = () => {
  ours.tell("stall"); // Whose server opens those of the other as well.
  say(`${clients} clients connect to each server, and do not read. Now start the broadcast.`);
};

$("#broadcast").onclick = () => {
  for (const side of sides) side.tell("broadcast");
  $("#stop").focus(); // This one cannot be pressed meanwhile.
  say("Both servers broadcast. It takes a few seconds until the systems' buffers are full.");
};

$("#stop").onclick = () => {
  for (const side of sides) side.stop();
  wasRunning = wasEvicted = false;
  show();
  say("Stopped: the stalled clients leave, and the charts begin anew.");
};
