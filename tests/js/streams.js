// A server of event streams that does as it is told, seen through `fetch`.

import { withEventStream } from "../../arcly_channels/static/arcly_channels/event-stream.js";
import { WELCOME } from "./server.js";
import { world } from "./world.js";

export const STREAM = "https://example.com/events/";

/** One response: what was asked for, and the methods by which the server at its end acts. */
class FakeStream {
  isAborted = false;
  #said = [];
  #waiting = null;

  constructor(url, { headers, signal }, resolve, reject) {
    this.url = new URL(url);
    this.headers = headers;
    this.rooms = this.url.searchParams.getAll("room");
    this.respond = resolve;
    this.reject = reject;
    signal.addEventListener("abort", () => {
      this.isAborted = true;
      this.fail();
    });
  }

  /** Begin the response. */
  accept() {
    const read = () =>
      new Promise((resolve, reject) => {
        this.#waiting = { resolve, reject };
        this.#flush();
      });
    const headers = new Headers({ "content-type": "text/event-stream; charset=utf-8" });
    this.respond({ status: 200, headers, body: { getReader: () => ({ read }) } });
    return this;
  }

  /** Answer with a status and nothing more, or JSON. */
  refuse(status, json) {
    const headers = new Headers({ "content-type": json ? "application/json" : "text/html" });
    this.respond({ status, headers, json: async () => json });
  }

  /** Lose the connection. */
  fail() {
    this.reject(new TypeError("network error"));
    this.#said.push(null);
    this.#flush();
  }

  raw(text) {
    this.#said.push({ value: new TextEncoder().encode(text), done: false });
    this.#flush();
    return this;
  }

  say(event, data, more) {
    return this.raw(`data: ${JSON.stringify({ event, data, ...more })}\n\n`);
  }

  welcome(more) {
    const data = { ...WELCOME, pong: false, ...more };
    const text = JSON.stringify({ event: "gateway:welcome", data });
    return this.raw(`id: open\nretry: 1000\ndata: ${text}\n\n`);
  }

  /** Let the client into all the rooms that it asks for. */
  joinAll() {
    this.rooms.forEach((room, at) => this.say("gateway:joined", { room }, { ref: at + 1 }));
    return this;
  }

  end() {
    this.#said.push({ value: undefined, done: true });
    this.#flush();
  }

  #flush() {
    if (!this.#waiting || !this.#said.length) return;
    const { resolve, reject } = this.#waiting;
    this.#waiting = null;
    const said = this.#said.shift();
    if (said) resolve(said);
    else reject(new TypeError("aborted"));
  }
}

/** Have surroundings with streams, where no WebSocket can be opened unless it is said. */
export function streamWorld(t, { manner = (socket) => socket.end(), ...options } = {}) {
  const it = world(t);
  it.streams = [];
  it.server.manner = manner;
  it.greet = (stream) => stream.accept().welcome().joinAll();
  const fetch = (url, asked) =>
    new Promise((resolve, reject) => {
      const stream = new FakeStream(url, asked, resolve, reject);
      it.streams.push(stream);
      it.clock.later(() => it.greet(stream));
    });
  const sockets = withEventStream(STREAM, { WebSocket: it.server.WebSocket, fetch, ...options });
  it.listening = (own) => it.gateway({ WebSocket: sockets, ...own });
  Object.defineProperty(it, "stream", { get: () => it.streams.at(-1) });
  return it;
}

/** Have a gateway that listens to a stream. */
export async function listening(t, { gateway: own, ...options } = {}) {
  const it = streamWorld(t, options);
  const gateway = it.listening(own);
  gateway.connect();
  await it.clock.pass(100);
  return { it, gateway, clock: it.clock, server: it.server, states: it.states };
}
