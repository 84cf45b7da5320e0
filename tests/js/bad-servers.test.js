// Servers that speak another protocol, or none.

import assert from "node:assert/strict";
import test from "node:test";

import { connected, inRoom, world } from "./world.js";

const NO_EVENTS = ["", "{", "null", "1", '"a"', "[]", "{}", '{"event":1}', '{"data":1}'];

for (const text of [...NO_EVENTS, new ArrayBuffer(2), new Blob(["{}"])]) {
  test(`${JSON.stringify(text)} is no event, and an error`, async (t) => {
    const { gateway, socket } = await connected(t);
    const told = [];
    gateway.on("error", (error) => told.push(error.code));
    gateway.on("message", () => told.push("message"));
    socket.raw(text).say("message");
    assert.deepEqual([told, gateway.state], [["malformed", "message"], "open"]);
  });
}

test("events of the protocol that are not known yet are ignored", async (t) => {
  const { gateway, socket, told } = await inRoom(t);
  for (const data of [undefined, null, 1, { room: "tea" }]) {
    socket.say("gateway:new", data).say("gateway:new", data, { room: "garden" });
  }
  assert.deepEqual([told, gateway.state], [[], "open"]);
});

test("keys that are not known yet are ignored", async (t) => {
  const { gateway, socket } = await connected(t);
  const told = [];
  gateway.on("message", (data) => told.push(data));
  socket.say("message", 1, { new: true, v: 2 });
  assert.deepEqual(told, [1]);
});

test("answers to nothing are ignored", async (t) => {
  const { gateway, socket } = await connected(t);
  for (const ref of [0, 99, "a", null, {}]) {
    socket.say("gateway:reply", 1, { ref }).say("error", { code: "internal" }, { ref });
  }
  assert.equal(gateway.state, "open");
});

// What a server of the protocol never says is reported, and stops nothing.
for (const [what, say] of [
  ["an answer to a join without data", (socket) => socket.reply("gateway:join", null)],
  ["a joined without data", (socket) => socket.say("gateway:joined")],
  ["a left without data", (socket) => socket.say("gateway:left")],
  ["a gap without data", (socket) => socket.say("gateway:gap")],
  ["a presence without data", (socket) => socket.say("gateway:presence")],
  ["a bye without data", (socket) => socket.say("gateway:bye")],
  ["an error without data", (socket) => socket.say("error")],
]) {
  test(`${what} stops nothing`, async (t) => {
    const { gateway, socket, reported, clock } = await connected(t, { rooms: ["tea"] });
    const told = [];
    gateway.on("message", (data) => told.push(data));
    say(socket);
    socket.say("message", 1);
    await clock.pass(20_000);
    assert.deepEqual([told, gateway.state], [[1], "open"]);
    reported.length = 0;
    gateway.close();
    assert.equal(clock.pending, 0);
  });
}

test("a server without the subprotocol is spoken to in the bare protocol", async (t) => {
  const { gateway: make, server, clock } = world(t);
  server.manner = (socket) => socket.accept("");
  const gateway = make();
  const told = [];
  gateway.on("message", (data) => told.push(data));
  gateway.connect();
  await clock.pass(0);
  assert.equal(gateway.emit("message.send", { text: "hello" }), true);
  server.socket.say("message", 1).say("gateway:ping", null).say("gateway:bye", { code: 1 });
  await clock.pass(3_600_000);
  assert.deepEqual(server.socket.sent, [{ event: "message.send", data: { text: "hello" } }]);
  assert.deepEqual([told, gateway.state], [[1], "open"]);
});

test("a bare gateway offers nothing, for servers that know no subprotocol", async (t) => {
  const { gateway: make, server, clock } = world(t);
  server.manner = (socket) => socket.accept();
  const gateway = make({ bare: true });
  gateway.connect();
  await clock.pass(0);
  assert.deepEqual([server.socket.protocols, gateway.state], [[], "open"]);
});

test("a bare connection that is lost comes back, and the queue with it", async (t) => {
  const { gateway: make, server, clock } = world(t);
  server.manner = (socket) => socket.accept("");
  const gateway = make();
  gateway.connect();
  await clock.pass(0);
  server.socket.end();
  gateway.emit("a");
  await clock.pass(1000);
  assert.deepEqual([server.sockets.length, server.socket.sent], [2, [{ event: "a" }]]);
});

test("a socket that cannot be made is tried again, and says why", async (t) => {
  const { gateway: make, clock, states, server } = world(t);
  const failure = new SyntaxError("a token with a space");
  class Refusing {
    constructor() {
      throw failure;
    }
  }
  const gateway = make({ WebSocket: Refusing });
  gateway.connect();
  await clock.pass(0);
  assert.deepEqual([states.at(-1).state, states.at(-1).error], ["waiting", failure]);
  assert.equal(server.sockets.length, 0);
  gateway.close();
  assert.equal(clock.pending, 0);
});

// A bye may say anything of when to come back.

for (const [what, bye] of [
  ["a spread that is no number", { spread: "soon" }],
  ["a spread beyond any timer", { spread: 1e12 }],
  ["an after that is no number", { after: "soon" }],
  ["an after beyond any timer", { after: 3e9 }],
]) {
  test(`${what} is no reason to hurry`, async (t) => {
    const { socket, server, clock } = await connected(t);
    server.manner = (next) => next.end();
    socket.say("gateway:bye", { code: 1012, reason: "", reconnect: "yes", ...bye });
    await clock.pass(10 * 60_000);
    assert.ok(server.sockets.length < 60, `${server.sockets.length} attempts`);
    assert.ok(server.sockets.length > 1);
  });
}

for (const data of ["restart", 1, true]) {
  test(`after a bye that is ${JSON.stringify(data)} it comes back by the code`, async (t) => {
    const { socket, server, clock, gateway, reported } = await connected(t);
    socket.say("gateway:bye", data);
    socket.end(1012);
    await clock.pass(30_000);
    assert.deepEqual([gateway.state, server.sockets.length > 1], ["open", true]);
    reported.length = 0;
  });
}
