// Finds out what docs/reference/browser.md says in its tables, and prints it as JSON. The codes of closes to
// be tried are its arguments. Time is what the mock of Node's own test runner makes of it.

import { mock } from "node:test";
import { Gateway, GatewayError, Room } from "arcly-channels";

const SPREAD = 700; // Of the welcome, in milliseconds.
const WELCOME = { id: "1", ping: 20, pong: true, spread: SPREAD, time: 0 };
WELCOME.limits = { frame: 2 ** 20, rooms: 100 };

class FakeSocket {
  readyState = 0;
  bufferedAmount = 0;
  protocol = "arcly.v1";
  sent = [];

  send(text) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.readyState = 3;
  }
  accept(protocol = "arcly.v1") {
    this.readyState = 1;
    this.protocol = protocol;
    this.onopen({});
  }
  receive(text) {
    this.onmessage({ data: typeof text === "string" ? text : JSON.stringify(text) });
  }
  end(code) {
    this.readyState = 3;
    this.onclose({ code, reason: "" });
  }
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

/** Make a gateway, and note its sockets, and what it says of its state and of errors. */
function made(options = {}) {
  const sockets = [];
  class WebSocket extends FakeSocket {
    constructor() {
      super();
      sockets.push(this);
    }
  }
  const gateway = new Gateway("ws://localhost/", { WebSocket, ...options });
  const noted = { changes: [], errors: [] };
  gateway.on("gateway:state", (change) => noted.changes.push(change));
  gateway.on("error", (error) => noted.errors.push(error.code));
  return { gateway, noted, sockets };
}

async function opened(options) {
  const { gateway, noted, sockets } = made(options);
  gateway.connect();
  await settled();
  const [socket] = sockets;
  socket.accept();
  socket.receive({ event: "gateway:welcome", data: WELCOME });
  return { gateway, noted, socket };
}

/** What somebody gets who asks: the code of an error, or its name where it has none. */
async function outcome(ask) {
  try {
    const value = await ask();
    return value === undefined ? null : value;
  } catch (error) {
    return error instanceof GatewayError ? error.code : error.name;
  }
}

/** Whether one comes back after a close, and when, in milliseconds. */
async function close(code) {
  const ended = async (random) => {
    const { noted, socket } = await opened({ token: () => "secret" });
    mock.method(Math, "random", () => random);
    socket.end(code);
    Math.random.mock.restore();
    return noted.changes.at(-1);
  };
  const first = await ended(0);
  const last = await ended(1);
  if (first.state !== "waiting") return ["no"];
  const { gateway, socket } = await opened();
  socket.end(code);
  const how = gateway.state === "closed" ? "token" : "yes";
  return [how, first.delay, last.delay - first.delay];
}

/** The longest waits of the attempts after the first. */
async function backoff() {
  const { gateway, noted, sockets } = made();
  mock.method(Math, "random", () => 1);
  gateway.connect();
  for (let attempt = 1; attempt < 9; attempt++) {
    await settled();
    sockets.at(-1).end(1006);
    mock.timers.tick(noted.changes.at(-1).delay);
  }
  Math.random.mock.restore();
  gateway.close();
  const delays = noted.changes.filter(({ state }) => state === "waiting").map(({ delay }) => delay);
  return delays.slice(1);
}

/** What is within the bounds and what is beyond: by numbers, what became of it. */
async function bounds() {
  const { gateway } = made();
  let waiting = 0;
  while ((await outcome(() => gateway.emit("event"))) === false) waiting++;
  const sized = (bytes) => "x".repeat(bytes - JSON.stringify({ event: "event", data: "" }).length);
  const waits = (bytes) => outcome(() => made().gateway.emit("event", sized(bytes)));
  const { gateway: other, socket } = await opened();
  const sends = (bytes) => outcome(() => other.emit("event", sized(bytes)));
  const tooLarge = { 1048576: await sends(1048576), 1048577: await sends(1048577) };
  const behind = (bufferedAmount) => {
    Object.assign(socket, { bufferedAmount });
    return other.emit("event");
  };
  const { gateway: third, noted } = made();
  third.emit("event");
  const after = (time) => {
    mock.timers.tick(time);
    return [...noted.errors];
  };
  return {
    waiting,
    bytes: { 262144: await waits(262144), 262145: await waits(262145) },
    expired: { 9999: after(9999), 10000: after(1) },
    tooLarge,
    buffered: { 1048576: behind(1048576), 1048577: behind(1048577) },
  };
}

/** By the words of the table: what becomes of a request. */
async function requests() {
  const asked = async (then, options) => {
    const { gateway, socket } = await opened();
    const answer = outcome(() => gateway.request("event", null, options));
    then({ gateway, socket, ref: socket.sent.at(-1).ref });
    return answer;
  };
  const waiting = async (then) => {
    const { gateway } = made();
    const answer = outcome(() => gateway.request("event"));
    then(gateway);
    return answer;
  };
  const abort = new AbortController();
  const error = { event: "error", data: { code: "a code", message: "" } };
  return {
    "the handler returns": await asked(({ socket, ref }) =>
      socket.receive({ event: "gateway:reply", data: "a value", ref })),
    "the handler refuses, fails, or takes too long; nobody handles it": await asked(
      ({ socket, ref }) => socket.receive({ ...error, ref })),
    "the connection is lost after it was sent": await asked(({ socket }) => socket.end(1006)),
    "no answer came in time": await asked(() => mock.timers.tick(10_000)),
    "it has waited all its time, and was not sent": await waiting(() => mock.timers.tick(10_000)),
    "`close()` while it waits": await waiting((gateway) => gateway.close()),
    "`close()` after it was sent": await asked(({ gateway }) => gateway.close()),
    "its `signal` aborts": await asked(() => abort.abort(new RangeError()), abort),
  };
}

/** By the words of the table: what bad input gets, and the state of the gateway thereafter. */
async function badInput() {
  const circle = {};
  circle.circle = circle;
  const noJson = [() => {}, Symbol("no"), 1n, circle];
  const url = async (address) => [await outcome(() => new Gateway(address)), "–"];
  const received = async (text) => {
    const { gateway, noted, socket } = await opened();
    socket.receive(text);
    return [noted.errors.join() || "–", gateway.state];
  };
  const asked = async (ask) => {
    const { gateway } = await opened();
    const outcomes = await Promise.all(noJson.map((data) => outcome(() => ask(gateway, data))));
    return [[...new Set(outcomes)].join(), gateway.state];
  };
  const bare = async () => {
    const { gateway, sockets } = made();
    const room = gateway.join("tea");
    const refused = new Promise((resolve) => room.on("refused", ({ code }) => resolve(code)));
    gateway.connect();
    await settled();
    sockets.at(-1).accept("");
    return { gateway, refused };
  };
  const ended = async (code, times = 1) => {
    const { gateway, noted, sockets } = made();
    gateway.connect();
    for (let attempt = 0; attempt < times; attempt++) {
      await settled();
      sockets.at(-1).accept();
      sockets.at(-1).end(code);
      mock.timers.tick(noted.changes.at(-1).delay ?? 0);
    }
    await settled();
    if (times > 1) sockets.at(-1).end(code);
    const { state, delay } = noted.changes.at(-1);
    return ["–", delay >= 8_000 ? `${state}, and backs off` : state];
  };
  const silent = async () => {
    const { gateway, sockets } = made();
    gateway.connect();
    await settled();
    sockets.at(-1).accept();
    mock.timers.tick(14_999);
    const before = gateway.state;
    mock.timers.tick(1);
    return ["–", before === "connecting" ? `${gateway.state}, after 15 s` : before];
  };
  const attempted = async (options) => {
    const { gateway } = made(options);
    gateway.connect();
    await settled();
    return ["–", gateway.state];
  };
  const namesake = async () => {
    const { gateway, socket } = await opened();
    const heard = [];
    gateway.join("tea").on("left", () => heard.push("room"));
    gateway.on("left", () => heard.push("gateway"));
    socket.receive({ event: "gateway:joined", data: { room: "tea" }, ref: socket.sent.at(-1).ref });
    socket.receive({ event: "left", data: null, room: "tea" });
    return [heard.join(), gateway.state];
  };
  const endless = async () => {
    const { gateway } = await opened();
    const timers = mock.method(globalThis, "setTimeout");
    gateway.request("event", null, { timeout: Infinity });
    const [, wait] = timers.mock.calls.at(-1).arguments;
    timers.mock.restore();
    return [wait < 2 ** 31 ? "–" : "timeout", gateway.state]; // What is longer ends at once.
  };
  const { gateway: closed } = made();
  closed.close();
  const { gateway: open } = await opened();
  const one = await bare();
  return {
    '`new Gateway("ftp://example.com/")`': await url("ftp://example.com/"),
    '`new Gateway("http://:0:0/")`': await url("http://:0:0/"),
    '`on("event", null)`': [await outcome(() => open.on("event", null)), open.state],
    "`emit` of a function, a symbol, a BigInt, a circle": await asked((gateway, data) =>
      gateway.emit("event", data)),
    "`request` of the same": await asked((gateway, data) => gateway.request("event", data)),
    "`request` with a `timeout` of Infinity": await endless(),
    "`emit` after `close()`": [await outcome(() => closed.emit("event")), closed.state],
    "a server without `arcly.v1`: a request": [
      await outcome(() => one.gateway.request("event")), one.gateway.state],
    "a server without `arcly.v1`: a room": [await one.refused, one.gateway.state],
    "a server that accepts, and closes with 1000": await ended(1000),
    "a server that accepts, and closes with 1011, again and again": await ended(1011, 6),
    "a server that accepts, and says nothing": await silent(),
    "a message that is no JSON": await received("nonsense"),
    "a message without an event": await received({ data: 1 }),
    "an unknown event that begins with `gateway:`": await received({ event: "gateway:new" }),
    "an event to a room by the name of one of its own, such as `left`": await namesake(),
    "an answer that nobody waits for": await received({ event: "gateway:reply", ref: 9 }),
    "`token()` that throws": await attempted({
      token: () => {
        throw new Error("no token");
      },
    }),
    "`token()` that returns null": await attempted({ token: () => null }),
    "no `WebSocket` at all": await attempted({ WebSocket: null }),
  };
}

mock.timers.enable({ apis: ["setTimeout"] });
const closes = {};
for (const code of process.argv.slice(2)) closes[code] = await close(Number(code));
const names = ({ prototype }) =>
  ["on", "hold", ...Object.getOwnPropertyNames(prototype)].filter(
    (name) => name !== "constructor" && !name.startsWith("_"),
  );
const found = { closes, backoff: await backoff(), bounds: await bounds() };
found.requests = await requests();
found.badInput = await badInput();
found.methods = { Gateway: names(Gateway), Room: names(Room) };
console.log(JSON.stringify(found));
