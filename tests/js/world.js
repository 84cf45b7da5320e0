// Where gateway.js is tested: with a clock, a server and a page that do as they are told.

import assert from "node:assert/strict";

import { Gateway } from "../../arcly_channels/static/arcly_channels/gateway.js";
import { Clock } from "./clock.js";
import { FakeServer } from "./server.js";

export const ADDRESS = "wss://example.com/ws/";

/** What is there of a browser's page. */
class Page {
  window = new EventTarget();
  document = Object.assign(new EventTarget(), {
    hidden: false,
    baseURI: "https://example.com/chat/",
  });

  tell(type, more) {
    this.window.dispatchEvent(Object.assign(new Event(type), more));
  }

  show(isShown = true) {
    this.document.hidden = !isShown;
    this.document.dispatchEvent(new Event("visibilitychange"));
  }
}

/** Replace what gateway.js has from its surroundings, until `restore` is called. */
export function surroundings({ hasPage = true } = {}) {
  const clock = new Clock();
  const page = new Page();
  const { window, document } = page;
  const it = { clock, page, server: new FakeServer(clock), reported: [], states: [], chance: 0.5 };
  it.random = () => it.chance;
  const before = [
    [Math, "random", () => it.random()],
    [Date, "now", () => clock.now],
    [globalThis, "setTimeout", clock.setTimeout],
    [globalThis, "clearTimeout", clock.clearTimeout],
    [globalThis, "reportError", (error) => it.reported.push(error)],
    [globalThis, "document", hasPage ? document : undefined],
    [globalThis, "addEventListener", hasPage ? window.addEventListener.bind(window) : undefined],
  ].map(([target, name, fake]) => {
    const own = Object.getOwnPropertyDescriptor(target, name);
    Object.defineProperty(target, name, { value: fake, configurable: true, writable: true });
    return () => (own ? Object.defineProperty(target, name, own) : delete target[name]);
  });
  it.restore = () => before.forEach((restore) => restore());
  return it;
}

/**
 * Have surroundings until the test ends. What is reported must be taken out of `reported` by the
 * test that expects it; `chance` is what `Math.random` returns.
 */
export function world(t, options) {
  const it = surroundings(options);
  /** Make a gateway whose changes of state are kept in `states`. */
  it.gateway = (own, url = ADDRESS) => {
    const gateway = new Gateway(url, { WebSocket: it.server.WebSocket, ...own });
    gateway.on("gateway:state", (change) => it.states.push(change));
    return gateway;
  };
  t.after(() => {
    it.restore();
    assert.deepEqual(it.reported, []);
  });
  return it;
}

/** Have a gateway that is connected, and the socket at its other end. */
export async function connected(t, options) {
  const it = world(t);
  const gateway = it.gateway(options);
  gateway.connect();
  await it.clock.pass(0);
  assert.equal(gateway.state, "open");
  return { ...it, it, gateway, socket: it.server.socket };
}

/** Have a room that is joined as the server is told to answer, and what its handlers are told. */
export async function inRoom(t, { joined = {}, join = {}, ...options } = {}) {
  const all = await connected(t, options);
  const room = all.gateway.join("tea", join);
  const told = [];
  for (const event of ["joined", "gap", "presence", "left", "refused", "message"]) {
    room.on(event, (data) => told.push([event, data]));
  }
  all.socket.joined("tea", joined);
  assert.equal(room.isJoined, true);
  told.length = 0;
  return { ...all, room, told };
}

/** The events of a room that were told, without their data. */
export const names = (told) => told.map(([event]) => event);

/** Lose the connection and have another. */
export async function reconnect({ socket, server, clock, gateway }) {
  socket.end();
  await clock.pass(5000);
  assert.equal(gateway.state, "open");
  return server.socket;
}

/** Note whether a promise has settled, and with what. */
export function outcome(promise) {
  const result = { count: 0 };
  promise.then(
    (value) => Object.assign(result, { value, count: result.count + 1 }),
    (error) => Object.assign(result, { error, code: error?.code, count: result.count + 1 }),
  );
  return result;
}
