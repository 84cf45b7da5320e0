// How a connection is made, and how a client comes back.

import assert from "node:assert/strict";
import test from "node:test";

import { connected, world } from "./world.js";

const ALMOST = 1 - 2 ** -53; // the most that Math.random returns

test("a new gateway is idle and opens nothing", async (t) => {
  const { gateway, server, clock } = world(t);
  assert.equal(gateway().state, "idle");
  await clock.pass(60_000);
  assert.equal(server.sockets.length, 0);
});

test("it connects with the subprotocol, and is open by the welcome", async (t) => {
  const { gateway: make, server, clock, states } = world(t);
  server.manner = (socket) => socket.accept();
  const gateway = make();
  const welcomes = [];
  gateway.on("gateway:welcome", (welcome) => welcomes.push(welcome.id));
  gateway.connect();
  await clock.pass(0);
  assert.equal(gateway.state, "connecting");
  server.socket.welcome();
  assert.deepEqual(server.socket.protocols, ["arcly.v1"]);
  assert.deepEqual(states.map(({ state }) => state), ["connecting", "open"]);
  assert.deepEqual(welcomes, ["a-1"]);
});

test("connecting twice opens one socket", async (t) => {
  const { gateway, server, clock } = await connected(t);
  gateway.connect();
  await clock.pass(0);
  assert.equal(server.sockets.length, 1);
});

// Code, and between which times to come back without a bye, after a welcome with a spread of 2000.
for (const [code, least, most] of [
  [1001, 0, 2000],
  [1005, 0, 2000],
  [1006, 0, 2000],
  [1011, 0, 2000],
  [1012, 0, 2000],
  [4008, 1000, 5000],
  [4010, 0, 2000],
  [4012, 0, 2000],
  [4401, 0, 1000],
  [4409, 5000, 15_000],
  [4429, 5000, 15_000],
]) {
  test(`after ${code} without a bye it comes back in ${least} to ${most} ms`, async (t) => {
    for (const [chance, expected] of [
      [0, least],
      [ALMOST, most],
    ]) {
      const { it, socket, server, clock, states, gateway } = await connected(t, {
        token: () => "a",
      });
      it.chance = chance;
      socket.end(code);
      const { state, delay, code: told } = states.at(-1);
      assert.deepEqual([state, told, Math.round(delay)], ["waiting", code, expected]);
      await clock.pass(delay - 1);
      assert.equal(server.sockets.length, 1);
      await clock.pass(1);
      assert.deepEqual([server.sockets.length, gateway.state], [2, "open"]);
    }
  });
}

for (const code of [1000, 1002, 1003, 1007, 1008, 1009, 1010, 4403, 4000, 4999]) {
  test(`${code} without a bye is final`, async (t) => {
    const { socket, server, clock, states, gateway } = await connected(t);
    socket.end(code, "enough");
    assert.deepEqual(states.at(-1), { state: "closed", code, reason: "enough", error: undefined });
    await clock.pass(100_000);
    assert.deepEqual([server.sockets.length, clock.pending, gateway.state], [1, 0, "closed"]);
  });
}

test("a bye says more than the table: when to come back", async (t) => {
  for (const code of [1012, 4403, 4777]) {
    const { it, socket, states } = await connected(t);
    it.chance = 0.25;
    socket.bye(code, { reconnect: "yes", after: 3000, spread: 8000 });
    const { state, delay, reason } = states.at(-1);
    assert.deepEqual([state, delay, reason], ["waiting", 5000, "as it is told"]);
  }
});

test("a bye that says no is final", async (t) => {
  const { socket, gateway, clock } = await connected(t);
  socket.bye(1012, { reconnect: "no" });
  await clock.pass(0);
  assert.deepEqual([gateway.state, clock.pending], ["closed", 0]);
});

test("a bye is obeyed where the close that follows never comes", async (t) => {
  const { socket, gateway } = await connected(t);
  socket.answersClose = false;
  socket.say("gateway:bye", { code: 1012, reason: "", reconnect: "yes", after: 0, spread: 0 });
  assert.equal(gateway.state, "waiting");
});

test("a bye may come before a welcome", async (t) => {
  const { gateway: make, server, clock, states } = world(t);
  server.manner = (socket) => socket.accept().bye(4429, { reconnect: "yes", after: 9, spread: 0 });
  make().connect();
  await clock.pass(0);
  assert.deepEqual([states.at(-1).code, states.at(-1).delay], [4429, 9]);
});

test("a server that is not there is asked again within the second", async (t) => {
  const it = world(t);
  it.server.manner = (socket) => socket.end();
  it.chance = ALMOST;
  it.gateway().connect();
  await it.clock.pass(0);
  assert.equal(Math.round(it.states.at(-1).delay), 1000);
});

/** Return how long a client waits after each of its first failures. */
async function delays(t, chance, manner, count = 8) {
  const it = world(t);
  it.server.manner = manner;
  it.chance = chance;
  const gateway = it.gateway();
  gateway.connect();
  await it.clock.pass(200_000);
  gateway.close();
  const waits = it.states.filter(({ state }) => state === "waiting");
  return waits.slice(0, count).map(({ delay }) => Math.round(delay));
}

test("the first delay is as advised, the next double up to half a minute", async (t) => {
  const all = [1000, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000];
  assert.deepEqual(await delays(t, ALMOST, (socket) => socket.end()), all);
});

test("at least half of each delay is waited, and once what is left of the spread", async (t) => {
  const half = [0, 1000, 1000, 2000, 4000, 8000, 15_000, 15_000];
  assert.deepEqual(await delays(t, 0, (socket) => socket.end()), half);
});

test("a server that accepts and closes at once is not asked ever faster", async (t) => {
  const manner = (socket) => socket.accept().welcome({ spread: 0 }).end();
  assert.deepEqual(await delays(t, 0, manner, 5), [0, 500, 1000, 2000, 4000]);
});

test("a back-off is never shorter than the bye asks for", async (t) => {
  const advice = { reconnect: "yes", after: 6000, spread: 0 };
  const manner = (socket) => socket.accept().welcome().bye(1012, advice);
  assert.deepEqual(await delays(t, 0, manner, 6), [6000, 6000, 6000, 6000, 6000, 8000]);
});

for (const [lasted, expected] of [
  [4999, 500],
  [5000, 0],
]) {
  test(`after ${lasted} ms of being open the next delay is ${expected} ms`, async (t) => {
    const { it, server, socket, clock, states } = await connected(t);
    it.chance = 0;
    socket.end();
    await clock.pass(states.at(-1).delay);
    await clock.pass(lasted);
    server.socket.end();
    assert.equal(states.at(-1).delay, expected);
  });
}

test("to connect is to try at once, whatever was waited for", async (t) => {
  const { gateway, server, socket, clock } = await connected(t);
  socket.bye(4429, { reconnect: "yes", after: 60_000, spread: 0 });
  gateway.connect();
  await clock.pass(0);
  assert.deepEqual([server.sockets.length, gateway.state], [2, "open"]);
  await clock.pass(120_000 - 91_000);
  assert.equal(server.sockets.length, 2);
});

for (const [what, manner] of [
  ["does not answer", () => {}],
  ["accepts and says no welcome", (socket) => socket.accept()],
]) {
  test(`a server that ${what} is given up after 15 seconds`, async (t) => {
    const { gateway: make, server, clock, states } = world(t);
    server.manner = manner;
    const gateway = make();
    gateway.connect();
    await clock.pass(14_999);
    assert.equal(gateway.state, "connecting");
    await clock.pass(1);
    assert.deepEqual([states.at(-1).state, states.at(-1).code], ["waiting", 1006]);
    assert.ok(server.socket.readyState > 1);
  });
}

test("what an older socket says later counts no more", async (t) => {
  const { gateway, server, socket, clock } = await connected(t);
  const told = [];
  gateway.on("message", (data) => told.push(data));
  socket.answersClose = false;
  socket.say("gateway:bye", { code: 1012, reason: "", reconnect: "yes", after: 0, spread: 0 });
  await clock.pass(0);
  assert.equal(server.sockets.length, 2);
  socket.say("message", "late").say("gateway:welcome", {}).end(4403);
  assert.deepEqual([told, gateway.state], [[], "open"]);
});

test("a closed gateway has no socket, no timer, and tells nothing", async (t) => {
  const { gateway, server, socket, clock, states } = await connected(t, { token: () => "a" });
  gateway.join("tea");
  socket.end();
  gateway.close();
  await clock.pass(100_000);
  assert.deepEqual([server.sockets.length, clock.pending], [1, 0]);
  assert.equal(states.at(-1).state, "closed");
  gateway.close();
  assert.equal(states.length, 4);
});

test("closing before there is a socket leaves none", async (t) => {
  const { gateway: make, server, clock } = world(t);
  const gateway = make();
  gateway.connect();
  gateway.close();
  await clock.pass(100_000);
  assert.deepEqual([gateway.state, clock.pending], ["closed", 0]);
  assert.ok(server.sockets.every(({ readyState }) => readyState > 1));
});

test("a closed gateway can be connected again, and is in its rooms", async (t) => {
  const { gateway, server, clock } = await connected(t, { rooms: ["tea"] });
  gateway.close();
  gateway.connect();
  await clock.pass(0);
  assert.equal(server.socket.last("gateway:join").data.room, "tea");
});

test("to mount, unmount and mount again makes one connection", async (t) => {
  const { gateway: make, server, clock } = world(t);
  const gateway = make();
  gateway.hold()();
  const release = gateway.hold();
  await clock.pass(1000);
  assert.deepEqual([server.sockets.length, gateway.state], [1, "open"]);
  release();
  release();
  await clock.pass(0);
  assert.deepEqual([gateway.state, clock.pending], ["idle", 0]);
});

test("a connection that two hold lasts until the second has let go", async (t) => {
  const { gateway: make, clock } = world(t);
  const gateway = make();
  const [first, second] = [gateway.hold(), gateway.hold()];
  first();
  first();
  await clock.pass(1000);
  assert.equal(gateway.state, "open");
  second();
  await clock.pass(0);
  assert.equal(gateway.state, "idle");
});

test("a clock that is set back during an attempt puts nothing off", async (t) => {
  const { gateway: make, server, clock, states } = world(t);
  server.manner = () => {}; // It says nothing.
  const gateway = make();
  gateway.connect();
  await clock.pass(20_000);
  assert.deepEqual([gateway.state, server.sockets.length], ["connecting", 2]);
  t.mock.method(Date, "now", () => clock.now - 5 * 3600 * 1000);
  server.socket.end();
  assert.ok(states.at(-1).delay <= 30_000, `${states.at(-1).delay} ms`);
});
