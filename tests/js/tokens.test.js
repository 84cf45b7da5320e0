// Who asks for a token, when, and what becomes of the connection.

import assert from "node:assert/strict";
import test from "node:test";

import { connected, world } from "./world.js";

/** Have a gateway with a token that ends after so many seconds, numbered as they are asked for. */
async function expiring(t, seconds, { tokens = [] } = {}) {
  const it = world(t);
  it.server.manner = (socket) => socket.accept().welcome({ time: 1000, exp: 1000 + seconds });
  let count = 0;
  const gateway = it.gateway({
    token: async () => {
      const token = tokens[count++] ?? `token-${count}`;
      if (token instanceof Error) throw token;
      return token === "none" ? null : token;
    },
  });
  gateway.connect();
  await it.clock.pass(0);
  return { ...it, gateway, socket: it.server.socket, asked: () => count };
}

const pings = (clock, socket) => async (seconds) => {
  for (; seconds > 0; seconds -= 10) {
    await clock.pass(1000 * Math.min(seconds, 10));
    socket.say("gateway:ping", null);
  }
};

test("a token is offered beside the protocol", async (t) => {
  const { socket } = await connected(t, { token: () => "abc" });
  assert.deepEqual(socket.protocols, ["arcly.v1", "bearer", "abc"]);
});

test("a token is asked for before each attempt", async (t) => {
  const tokens = ["a", "b"];
  const { socket, server, clock } = await connected(t, { token: async () => tokens.shift() });
  socket.end();
  await clock.pass(5000);
  assert.deepEqual(server.sockets.map(({ token }) => token), ["a", "b"]);
});

test("no token is the end, without a socket", async (t) => {
  const { gateway: make, server, clock, states } = world(t);
  make({ token: () => null }).connect();
  await clock.pass(60_000);
  const { state, reason } = states.at(-1);
  assert.deepEqual([state, reason, server.sockets.length, clock.pending], [
    "closed",
    "no token",
    0,
    0,
  ]);
});

test("a token that cannot be had is asked for again, later", async (t) => {
  const { gateway: make, server, clock, states } = world(t);
  const failure = new Error("no session");
  let count = 0;
  const token = () => {
    if (++count < 3) throw failure;
    return "abc";
  };
  make({ token }).connect();
  await clock.pass(0);
  assert.deepEqual([states.at(-1).state, states.at(-1).error], ["waiting", failure]);
  await clock.pass(10_000);
  assert.deepEqual([states.at(-1).state, server.socket.token, count], ["open", "abc", 3]);
});

test("a token that never comes is given up after 15 seconds", async (t) => {
  const { gateway: make, clock, states, server } = world(t);
  let give;
  const gateway = make({ token: () => new Promise((resolve) => (give = resolve)) });
  gateway.connect();
  await clock.pass(15_000);
  assert.equal(states.at(-1).state, "waiting");
  gateway.close();
  give("late");
  await clock.pass(0);
  assert.equal(server.sockets.length, 0);
});

test("a token is renewed in band when 80 % of its life has passed", async (t) => {
  const { clock, socket, asked, server, gateway } = await expiring(t, 100);
  const wait = pings(clock, socket);
  await wait(79.9);
  assert.equal(asked(), 1);
  await wait(0.1);
  assert.deepEqual(socket.last("auth.refresh").data, { token: "token-2" });
  socket.reply("auth.refresh", { time: 1080, exp: 1280 }, { as: "auth.refreshed" });
  await wait(159.9);
  assert.equal(asked(), 2);
  await wait(0.1);
  assert.equal(asked(), 3);
  assert.deepEqual([server.sockets.length, gateway.state], [1, "open"]);
});

test("a renewal that is refused is tried again before the end", async (t) => {
  const { clock, socket, asked } = await expiring(t, 100);
  const wait = pings(clock, socket);
  await wait(80);
  socket.refuse("auth.refresh", { code: "unavailable" });
  await wait(16);
  assert.equal(asked(), 3);
  socket.reply("auth.refresh", { time: 1096, exp: 2096 }, { as: "auth.refreshed" });
  await wait(700);
  assert.equal(asked(), 3);
});

test("a renewal whose token cannot be had is tried again", async (t) => {
  const { clock, socket, asked } = await expiring(t, 100, { tokens: ["a", new Error("no")] });
  const wait = pings(clock, socket);
  await wait(80);
  assert.equal(socket.last("auth.refresh"), undefined);
  await wait(16);
  assert.deepEqual([asked(), socket.last("auth.refresh").data.token], [3, "token-3"]);
});

test("renewals that fail and fail come once a second at most", async (t) => {
  const { clock, socket, asked } = await expiring(t, 2);
  socket.onsent = ({ event }) => event === "auth.refresh" && socket.refuse(event, { code: "no" });
  await clock.pass(10_000);
  assert.ok(asked() <= 10, `${asked()} times`);
});

test("a renewal without a token waits for the server to end it", async (t) => {
  const { clock, socket, gateway } = await expiring(t, 10, { tokens: ["a", "none", "none"] });
  await clock.pass(9_000);
  assert.deepEqual([socket.sent, gateway.state], [[], "open"]);
  socket.bye(4401, { reconnect: "token", after: 0, spread: 1000 });
  await clock.pass(1000);
  assert.equal(gateway.state, "closed");
});

test("no renewal outlives its connection", async (t) => {
  const { clock, socket, server, asked } = await expiring(t, 10);
  socket.end();
  await clock.pass(1000);
  assert.deepEqual([server.sockets.length, asked()], [2, 2]);
  await clock.pass(7_500);
  assert.equal(asked(), 2);
  await clock.pass(1_500);
  assert.deepEqual([asked(), socket.all("auth.refresh").length], [3, 0]);
  assert.equal(server.socket.all("auth.refresh").length, 1);
});

test("a renewal that was refused by the end of its connection is not tried again", async (t) => {
  const { clock, socket, asked, gateway } = await expiring(t, 10);
  await clock.pass(8_000);
  assert.equal(asked(), 2);
  gateway.close();
  socket.reply("auth.refresh", { time: 1008, exp: 1018 }, { as: "auth.refreshed" });
  await clock.pass(60_000);
  assert.deepEqual([asked(), clock.pending], [2, 0]);
});

test("a renewed token that does not end is not renewed again", async (t) => {
  const { clock, socket, asked } = await expiring(t, 10);
  await clock.pass(8_000);
  socket.reply("auth.refresh", { time: 1008 }, { as: "auth.refreshed" });
  await clock.pass(20_000);
  assert.equal(asked(), 2);
});

test("a life that is longer than a timer takes is no reason to hurry", async (t) => {
  const { clock, asked } = await expiring(t, 10 * 365 * 86_400);
  await clock.pass(15_000);
  assert.equal(asked(), 1);
});

test("4401 is final where there is no token to try another", async (t) => {
  for (const end of [
    (socket) => socket.end(4401),
    (socket) => socket.bye(4401, { reconnect: "token", after: 0, spread: 1000 }),
  ]) {
    const { socket, gateway } = await connected(t);
    end(socket);
    assert.equal(gateway.state, "closed");
  }
});

test("4401 asks for another token", async (t) => {
  const tokens = ["old", "new"];
  const { socket, server, clock } = await connected(t, { token: () => tokens.shift() });
  socket.bye(4401, { reconnect: "token", after: 0, spread: 1000 });
  await clock.pass(1000);
  assert.equal(server.socket.token, "new");
});

test("no token is asked of a gateway that has none, whatever the welcome says", async (t) => {
  const { clock, server, gateway: make } = world(t);
  server.manner = (socket) => socket.accept().welcome({ time: 1000, exp: 1010 });
  make().connect();
  await clock.pass(20_000);
  assert.deepEqual(server.socket.sent, []);
});
