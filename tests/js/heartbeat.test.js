// Who pings whom, and when a silent server is given up.

import assert from "node:assert/strict";
import test from "node:test";

import { connected, world } from "./world.js";

/** Have a connection whose server has said something of its pings. */
async function welcomed(t, welcome) {
  const it = world(t);
  it.server.manner = (socket) => socket.accept().welcome(welcome);
  const gateway = it.gateway();
  gateway.connect();
  await it.clock.pass(0);
  return { ...it, gateway, socket: it.server.socket };
}

test("a ping is answered where the welcome asks for it", async (t) => {
  const { socket } = await welcomed(t, { pong: true });
  socket.say("gateway:ping", null);
  assert.deepEqual(socket.sent, [{ event: "gateway:pong" }]);
});

test("a ping is not answered where the welcome does not ask for it", async (t) => {
  const { socket } = await welcomed(t, { pong: false });
  socket.say("gateway:ping", null);
  assert.deepEqual(socket.sent, []);
});

test("a server that says nothing is given up 11 seconds after its next ping", async (t) => {
  const { clock, gateway, socket, states } = await welcomed(t, { ping: 20 });
  await clock.pass(30_999);
  assert.equal(gateway.state, "open");
  await clock.pass(1);
  assert.deepEqual([states.at(-1).state, states.at(-1).code], ["waiting", 1006]);
  assert.ok(socket.readyState > 1);
});

for (const [what, say] of [
  ["a ping", (socket) => socket.say("gateway:ping", null)],
  ["an event that nobody handles", (socket) => socket.say("whatever")],
  ["an unknown event of the protocol", (socket) => socket.say("gateway:new")],
  ["an event of a room it is not in", (socket) => socket.say("message", 1, { room: "x" })],
]) {
  test(`${what} is a sign of life`, async (t) => {
    const { clock, gateway, socket } = await welcomed(t, { ping: 20 });
    await clock.pass(30_000);
    say(socket);
    await clock.pass(30_000);
    assert.equal(gateway.state, "open");
  });
}

test("what arrived while the machine slept counts", async (t) => {
  const { clock, gateway, socket } = await welcomed(t, { ping: 20 });
  clock.sleep(3_600_000);
  await clock.pass(0); // The timers that are due run first.
  await clock.pass(900);
  socket.say("gateway:ping", null);
  await clock.pass(5000);
  assert.equal(gateway.state, "open");
});

test("a server that announces no pings is never given up for silence", async (t) => {
  const { clock, gateway } = await welcomed(t, { ping: 0 });
  await clock.pass(86_400_000);
  assert.equal(gateway.state, "open");
});

test("a socket that takes everything and answers nothing is given up", async (t) => {
  const { clock, gateway, socket } = await connected(t);
  const answer = gateway.request("question").catch(({ code }) => code);
  await clock.pass(31_000);
  assert.equal(await answer, "timeout");
  assert.equal(gateway.state, "waiting");
  assert.equal(socket.all("question").length, 1);
});
