// Who is called, how often, and what one that throws does to the others: nothing.

import assert from "node:assert/strict";
import test from "node:test";

import { connected, inRoom, world } from "./world.js";

test("the same handler is called once, however often it was given", async (t) => {
  const { gateway, socket } = await connected(t);
  const told = [];
  const handler = (data) => told.push(data);
  gateway.on("message", handler);
  const off = gateway.on("message", handler);
  socket.say("message", 1);
  off();
  socket.say("message", 2);
  assert.deepEqual(told, [1]);
});

test("handlers are called in the order in which they were given", async (t) => {
  const { gateway, socket } = await connected(t);
  const told = [];
  for (const name of ["a", "b", "c"]) gateway.on("message", () => told.push(name));
  socket.say("message");
  assert.deepEqual(told, ["a", "b", "c"]);
});

test("a handler that one before it has taken back is not called", async (t) => {
  const { gateway, socket } = await connected(t);
  const told = [];
  gateway.on("message", () => off());
  const off = gateway.on("message", () => told.push("taken back"));
  gateway.on("message", () => told.push("last"));
  socket.say("message");
  assert.deepEqual(told, ["last"]);
});

test("a handler that is added by another is called from the next event on", async (t) => {
  const { gateway, socket } = await connected(t);
  const told = [];
  const late = (data) => told.push(data);
  gateway.on("message", () => gateway.on("message", late));
  socket.say("message", 1).say("message", 2);
  assert.deepEqual(told, [2]);
});

test("a handler for once is called once, also where it has the event come again", async (t) => {
  const { gateway, socket } = await connected(t);
  const told = [];
  const again = (data) => {
    told.push(data);
    socket.say("message", 2);
  };
  gateway.on("message", again, { once: true });
  socket.say("message", 1);
  assert.deepEqual(told, [1]);
});

test("a signal takes handlers back", async (t) => {
  const { gateway, socket } = await connected(t);
  const controller = new AbortController();
  const told = [];
  gateway.on("message", (data) => told.push(data), { signal: controller.signal });
  socket.say("message", 1);
  controller.abort();
  socket.say("message", 2);
  gateway.on("message", (data) => told.push(data), { signal: controller.signal });
  socket.say("message", 3);
  assert.deepEqual(told, [1]);
});

test("what is no function is no handler", async (t) => {
  const { gateway } = await connected(t);
  assert.throws(() => gateway.on("message", null), TypeError);
});

test("a handler that throws is reported and stops no other", async (t) => {
  const { gateway, room, socket, reported, clock } = await inRoom(t);
  const told = [];
  const failures = ["sync", "async"].map((name) => new Error(name));
  room.on("message", () => {
    throw failures[0];
  });
  room.on("message", async () => {
    throw failures[1];
  });
  room.on("message", () => told.push("room"));
  gateway.on("message", () => told.push("gateway"));
  socket.say("message", 1, { room: "tea" });
  await clock.pass(0);
  assert.deepEqual([told, reported.splice(0)], [["room", "gateway"], failures]);
});

test("handlers of the state that throw stop no reconnection", async (t) => {
  const { gateway, socket, reported, clock, server } = await connected(t);
  gateway.on("gateway:state", () => {
    throw new Error("no");
  });
  socket.end();
  await clock.pass(5000);
  assert.deepEqual([gateway.state, server.sockets.length], ["open", 2]);
  assert.equal(reported.splice(0).length, 3);
});

test("handlers of errors that throw are reported", async (t) => {
  const { gateway, socket, reported } = await connected(t);
  gateway.on("error", (error) => {
    throw error;
  });
  socket.say("error", { code: "forbidden", message: "no" });
  assert.deepEqual(reported.splice(0).map(({ code }) => code), ["forbidden"]);
});

test("where nothing can be reported it is written to the console", async (t) => {
  const { gateway, socket } = await connected(t);
  const written = t.mock.method(console, "error", () => {});
  globalThis.reportError = undefined;
  gateway.on("message", () => {
    throw new Error("no");
  });
  socket.say("message");
  assert.deepEqual(written.mock.calls.map(({ arguments: [error] }) => error.message), ["no"]);
});

test("a handler may close the gateway, and no other hears more of it", async (t) => {
  const { gateway, room, socket, clock, told } = await inRoom(t);
  gateway.on("message", () => gateway.close());
  socket.say("message", 1, { room: "tea" }).say("message", 2, { room: "tea" });
  await clock.pass(0);
  assert.deepEqual([told, room.isJoined, clock.pending], [[["message", 1]], false, 0]);
});

test("a handler that closes as soon as it connects leaves nothing behind", async (t) => {
  const { gateway: make, clock, server } = world(t);
  const gateway = make();
  gateway.on("gateway:state", ({ state }) => state === "connecting" && gateway.close());
  gateway.connect();
  await clock.pass(60_000);
  assert.deepEqual([gateway.state, clock.pending], ["closed", 0]);
  assert.ok(server.sockets.every(({ readyState }) => readyState === 3));
});

test("a handler may connect again what has been closed for good", async (t) => {
  const { gateway, socket, server, clock } = await connected(t);
  gateway.on("gateway:state", ({ state }) => state === "closed" && gateway.connect());
  socket.end(4403);
  await clock.pass(0);
  assert.deepEqual([gateway.state, server.sockets.length], ["open", 2]);
});

test("a handler that was called its only time is forgotten by its signal", async (t) => {
  const { gateway, socket } = await connected(t);
  const { signal } = new AbortController();
  let listeners = 0;
  const { addEventListener, removeEventListener } = signal;
  signal.addEventListener = (...args) => void (listeners++, addEventListener.apply(signal, args));
  signal.removeEventListener = (...args) =>
    void (listeners--, removeEventListener.apply(signal, args));
  gateway.on("message", () => {}, { once: true, signal });
  assert.equal(listeners, 1);
  socket.say("message");
  assert.equal(listeners, 0);
});
