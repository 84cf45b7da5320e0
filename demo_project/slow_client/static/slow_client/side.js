/** One of the two servers: its connection, and what it says of itself, twice a second. */

import { SPAN } from "./chart.js";

const EVERY = 500; // milliseconds between two questions

const STATES = {
  connecting: ["wait", "Connecting…"],
  open: ["open", "Connected"],
  waiting: ["wait", "Not there: start it with make demo"],
  closed: ["over", "For who runs the demo on this machine"],
};

export class Side {
  samples = [];
  isRunning = false;
  #timer;
  #gateway;
  #before = null;
  #evictions = null;
  #isStopping = false;

  /**
   * @param {string} name
   * @param {import("arcly-channels").Gateway | null} gateway Null where there is no server.
   * @param {Element} state Where the state of the connection is said.
   * @param {() => void} onFigures
   */
  constructor(name, gateway, state, onFigures) {
    this.name = name;
    this.#gateway = gateway;
    if (!gateway) return;
    const ask = () => gateway.emit("figures", null, { volatile: true });
    gateway.on("gateway:state", (news) => {
      [state.dataset.is, state.textContent] = STATES[news.state];
      this.isRunning = false;
      clearInterval(this.#timer);
      if (news.state === "open") this.#timer = setInterval(ask, EVERY);
    });
    gateway.on("figures", (figures) => {
      this.#take(figures);
      onFigures();
    });
    gateway.connect();
  }

  /** Tell the server to do something, where there is one. */
  tell(event) {
    if (this.#gateway?.state === "open") this.#gateway.emit(event);
  }

  get last() {
    return this.samples.at(-1);
  }

  /** Return the largest value of a measure that is shown. */
  most(measure) {
    return Math.max(0, ...this.samples.map((sample) => sample[measure]));
  }

  /** Stop what the server does, and forget what was; what it still says of that is nothing new. */
  stop() {
    this.tell("stop");
    this.samples = [];
    this.#before = this.#evictions = null;
    this.#isStopping = this.isRunning;
    this.isRunning = false;
  }

  #take({ time, memory, waiting, evictions, deliveries, isRunning }) {
    this.#isStopping &&= isRunning;
    if (this.#isStopping) return;
    const before = this.#before ?? { time: time - 1, deliveries };
    this.#evictions ??= evictions;
    this.#before = { time, deliveries };
    this.isRunning = isRunning;
    this.samples.push({
      time,
      memory: memory / 1e6,
      waiting: waiting / 1e6,
      evictions: evictions - this.#evictions,
      deliveries: (deliveries - before.deliveries) / (time - before.time),
    });
    this.samples = this.samples.filter((sample) => sample.time > time - SPAN);
  }
}
