/**
 * Keeps many clients in rooms of a server that ends and is started again, and tells when each was
 * back. Arguments: the URL, the kind of client, and how many.
 *
 * It prints "in" when all are in their rooms. Told on its standard input, by one line of JSON, how
 * many milliseconds that may take and how long to look on afterwards, it waits until all have been
 * lost and are back, and prints what became of each. Times are those of the system's clock.
 */

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { Gateway } from "../arcly_channels/static/arcly_channels/gateway.js";

const WebSocket = createRequire(new URL("../tests/js/", import.meta.url))("ws");
const AGAIN = 1000; // Milliseconds after which the client of everyone's page connects again.
const POLL = 20;

/** One client as the benchmark sees it: when it was lost, tried to come back, and was back. */
class Watched {
  constructor(index) {
    // One room of its crowd, and for every second client another one that all share.
    this.rooms = [`room-${index % 50}`, ...(index % 2 ? ["everybody"] : [])];
    this.forget();
  }

  forget() {
    this.codes = []; // Of the ends of its connections: one, unless it is cut off again.
    this.opened = this.joined = null;
    this.attempts = [];
    this.refused = 0;
  }

  get isIn() {
    return this.missing?.size === 0;
  }

  /** A `WebSocket` whose every attempt to connect is noted; it does not compress, to be cheap. */
  dial = (url, protocols) => {
    const socket = new WebSocket(url, protocols, { perMessageDeflate: false });
    let isRefused = true;
    this.attempts.push(Date.now());
    socket.on("open", () => (isRefused = false));
    socket.on("error", () => {});
    socket.on("close", () => (this.refused += isRefused));
    return socket;
  };

  open() {
    this.opened = Date.now();
    this.missing = new Set(this.rooms);
  }

  enter(room) {
    this.missing.delete(room);
    if (this.isIn) this.joined = Date.now();
  }

  close({ code }) {
    if (!this.missing) return; // An attempt that failed: there is nothing to lose.
    this.missing = null;
    this.codes.push(code);
  }
}

function gateway(url, watched) {
  const dial = watched.dial;
  const client = new Gateway(url, {
    WebSocket: function (...args) {
      return dial(...args);
    },
  });
  client.on("gateway:state", ({ state, code }) => {
    if (state === "open") watched.open();
    if (state === "waiting") watched.close({ code });
  });
  for (const room of watched.rooms) client.join(room).on("joined", () => watched.enter(room));
  client.connect();
}

/** The client of everyone's page: a second after the connection is lost, it connects again. */
function naive(url, watched) {
  const socket = watched.dial(url, ["arcly.v1"]);
  const say = (frame) => socket.send(JSON.stringify(frame));
  socket.onopen = () => {
    watched.open();
    for (const room of watched.rooms) say({ event: "gateway:join", data: { room } });
  };
  socket.onmessage = ({ data }) => {
    const { event, data: payload } = JSON.parse(data);
    if (event === "gateway:joined") watched.enter(payload.room);
    if (event === "gateway:ping") say({ event: "gateway:pong" });
  };
  socket.onclose = (event) => {
    watched.close(event);
    setTimeout(naive, AGAIN, url, watched);
  };
}

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function until(condition, ms) {
  const deadline = Date.now() + ms;
  while (!condition() && Date.now() < deadline) await sleep(POLL);
}

const commands = createInterface({ input: process.stdin });
commands.on("close", () => process.exit()); // No client outlives its benchmark.
const [url, kind, count] = process.argv.slice(2);
const crowd = Array.from({ length: Number(count) }, (_, index) => new Watched(index));
for (const [index, watched] of crowd.entries()) {
  ({ gateway, naive })[kind](url, watched);
  if (index % 20 === 19) await sleep(POLL); // The storm is to come later.
}
await until(() => crowd.every((each) => each.isIn), 60_000);
console.log(JSON.stringify("in"));

for await (const line of commands) {
  const { patience, calm } = JSON.parse(line);
  const used = process.cpuUsage();
  crowd.forEach((each) => each.forget());
  console.log(JSON.stringify("watching"));
  await until(() => crowd.every((each) => each.codes.length && each.isIn), patience);
  const { user, system } = process.cpuUsage(used);
  await sleep(calm);
  const clients = crowd.map(({ codes, isIn, opened, joined, attempts, refused }) => {
    return { codes, isIn, opened, joined, attempts, refused };
  });
  console.log(JSON.stringify({ cpu: (user + system) / 1e6, clients }));
}
