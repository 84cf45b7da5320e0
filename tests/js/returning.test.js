// How many clients come back to a server that has sent them all away at once.

import assert from "node:assert/strict";
import test from "node:test";

import { Gateway } from "../../arcly_channels/static/arcly_channels/gateway.js";

const { setImmediate } = globalThis;
const CLIENTS = 400;
const SPREAD = 4000;
const STEP = 50;

/** A server that is there or away, and when each of its clients was there. */
class Server {
  isAway = false;
  sockets = [];
  back = [];
  now = 0;

  /** What the clients open. */
  WebSocket = (() => {
    const server = this;
    return class {
      readyState = 0;
      protocol = "arcly.v1";

      constructor() {
        setTimeout(() => server.meet(this), 1);
      }

      send() {}

      close() {
        this.readyState = 3;
      }
    };
  })();

  meet(socket) {
    if (this.isAway) return socket.onclose?.({ code: 1006, reason: "" });
    socket.readyState = 1;
    this.sockets.push(socket);
    this.back.push(this.now);
    this.tell(socket, "gateway:welcome", { ping: 0, spread: SPREAD });
  }

  leave(code) {
    this.isAway = true;
    this.back = [];
    for (const socket of this.sockets.splice(0)) {
      const bye = { code, reason: "restart", reconnect: "yes", after: 0, spread: SPREAD };
      if (code) this.tell(socket, "gateway:bye", bye);
      else socket.onclose?.({ code: 1006, reason: "" });
    }
  }

  tell(socket, event, data) {
    socket.onmessage?.({ data: JSON.stringify({ event, data }) });
  }

  async pass(timers, ms) {
    for (const until = this.now + ms; this.now < until; this.now += STEP) {
      await new Promise((resolve) => setImmediate(resolve)); // A new socket gets its handlers.
      timers.tick(STEP);
    }
  }
}

/** Return how many were back in each quarter of the spread after the server's return. */
async function returned(t, { code, away, again = false }) {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const server = new Server();
  const { WebSocket } = server;
  const clients = Array.from({ length: CLIENTS }, () => new Gateway("ws://a/", { WebSocket }));
  for (const client of clients) client.connect();
  await server.pass(t.mock.timers, 6000);
  if (again) {
    server.leave(code);
    server.isAway = false;
    await server.pass(t.mock.timers, SPREAD + 2 * STEP);
  }
  server.leave(code);
  await server.pass(t.mock.timers, away);
  server.isAway = false;
  const since = server.now;
  await server.pass(t.mock.timers, SPREAD + 2 * STEP);
  clients.forEach((client) => client.close());
  const quarters = [0, 0, 0, 0];
  for (const at of server.back) quarters[Math.min(3, Math.floor((4 * (at - since)) / SPREAD))]++;
  return quarters;
}

for (const code of [1012, 0]) {
  for (const away of [0, 1000, 3000, 5000]) {
    const end = code ? "a bye" : "no word";
    test(`after ${end} and ${away} ms all are back in one spread, evenly`, async (t) => {
      const quarters = await returned(t, { code, away });
      assert.equal(quarters.reduce((sum, each) => sum + each), CLIENTS);
      // 100 are expected in each; six standard deviations are 52.
      for (const each of quarters) assert.ok(Math.abs(each - CLIENTS / 4) < 60, `${quarters}`);
    });
  }
}

test("who loses the next server within seconds comes back over the spread again", async (t) => {
  const quarters = await returned(t, { code: 1012, away: 0, again: true });
  assert.equal(quarters.reduce((sum, each) => sum + each), CLIENTS);
  assert.ok(Math.max(...quarters) < CLIENTS / 2, `${quarters}`);
});
