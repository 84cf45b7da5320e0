// What is sent, what waits, and what is refused.

import assert from "node:assert/strict";
import test from "node:test";

import { connected, world } from "./world.js";

const KIB = 1024;

/** Have a gateway whose server is away until `server.manner` is set, and what fails. */
async function offline(t, options) {
  const it = world(t);
  const { manner } = it.server;
  it.server.manner = (socket) => socket.end();
  const gateway = it.gateway(options);
  const failed = [];
  gateway.on("error", (error, { event }) => failed.push([error.code, event]));
  gateway.connect();
  await it.clock.pass(0);
  const back = async () => {
    it.server.manner = manner;
    gateway.connect();
    await it.clock.pass(0);
    return it.server.socket;
  };
  return { ...it, gateway, failed, back };
}

test("an event is sent at once", async (t) => {
  const { gateway, socket, clock } = await connected(t);
  assert.equal(gateway.emit("message.send", { text: "hello" }), true);
  assert.deepEqual(socket.sent, [{ event: "message.send", data: { text: "hello" } }]);
  await clock.pass(60_000);
});

test("what is sent before there is a connection waits for it, in its order", async (t) => {
  const { gateway, back } = await offline(t);
  assert.equal(gateway.emit("a"), false);
  assert.equal(gateway.emit("b"), false);
  const socket = await back();
  assert.deepEqual(socket.sent.map(({ event }) => event), ["a", "b"]);
});

test("what waits is sent once, also over several connections", async (t) => {
  const { gateway, back } = await offline(t);
  gateway.emit("a");
  const first = await back();
  first.end();
  const second = await back();
  assert.deepEqual([first.all("a").length, second.all("a").length], [1, 0]);
});

test("rooms are joined before what waits is sent, and before open is told", async (t) => {
  const { gateway, back } = await offline(t, { rooms: ["tea"] });
  gateway.emit("first");
  gateway.on("gateway:state", ({ state }) => state === "open" && gateway.emit("second"));
  const socket = await back();
  const order = socket.sent.map(({ event }) => event);
  assert.deepEqual(order, ["gateway:join", "first", "second"]);
});

test("the hundred and first that would wait is refused", async (t) => {
  const { gateway, back } = await offline(t);
  for (let i = 0; i < 100; i++) gateway.emit("a", i);
  assert.throws(() => gateway.emit("a", 100), { name: "GatewayError", code: "queue_full" });
  const socket = await back();
  assert.deepEqual(socket.all("a").map(({ data }) => data), [...Array(100).keys()]);
  assert.equal(gateway.emit("a", 101), true);
});

test("more than 256 KiB that would wait is refused", async (t) => {
  const { gateway } = await offline(t);
  for (let i = 0; i < 3; i++) gateway.emit("a", "x".repeat(64 * KIB));
  assert.throws(() => gateway.emit("a", "x".repeat(64 * KIB)), { code: "queue_full" });
  assert.equal(gateway.emit("a", "x".repeat(63 * KIB)), false);
  gateway.close();
});

test("bytes are counted, not characters", async (t) => {
  const { gateway } = await offline(t);
  assert.throws(() => gateway.emit("a", "é".repeat(130 * KIB)), { code: "queue_full" });
});

test("what has waited for ten seconds is told as expired, and never sent", async (t) => {
  const { gateway, clock, failed, back } = await offline(t);
  gateway.emit("a");
  await clock.pass(9_999);
  assert.deepEqual(failed, []);
  await clock.pass(1);
  assert.deepEqual(failed, [["expired", "a"]]);
  const socket = await back();
  assert.deepEqual(socket.sent, []);
});

test("what expires is reported where nobody handles errors", async (t) => {
  const { gateway: make, clock, reported } = world(t);
  make().emit("a");
  await clock.pass(10_000);
  assert.deepEqual(reported.splice(0).map(({ code }) => code), ["expired"]);
});

test("what was sent does not expire", async (t) => {
  const { gateway, clock, failed, back } = await offline(t);
  gateway.emit("a");
  await back();
  await clock.pass(20_000);
  assert.deepEqual(failed, []);
});

test("a volatile event is dropped where it cannot be sent at once", async (t) => {
  const { gateway, clock, failed, back } = await offline(t);
  assert.equal(gateway.emit("typing", null, { volatile: true }), false);
  const socket = await back();
  assert.equal(gateway.emit("typing", null, { volatile: true }), true);
  await clock.pass(10_000);
  assert.deepEqual([socket.all("typing").length, failed], [1, []]);
});

test("a volatile event does not overtake what waits", async (t) => {
  const { gateway, socket } = await connected(t);
  socket.bufferedAmount = 2 * KIB * KIB;
  gateway.emit("a");
  socket.bufferedAmount = 0;
  assert.equal(gateway.emit("typing", null, { volatile: true }), false);
});

test("over a MiB in the socket events wait here, in their order", async (t) => {
  const { gateway, socket, clock } = await connected(t);
  socket.bufferedAmount = KIB * KIB;
  assert.equal(gateway.emit("a"), true);
  socket.bufferedAmount += 1;
  assert.equal(gateway.emit("b"), false);
  await clock.pass(1000);
  socket.bufferedAmount = 0;
  assert.equal(gateway.emit("c"), true);
  assert.deepEqual(socket.sent.map(({ event }) => event), ["a", "b", "c"]);
});

test("what waits for the socket is sent when it has drained", async (t) => {
  const { gateway, socket, clock } = await connected(t);
  socket.bufferedAmount = 2 * KIB * KIB;
  gateway.emit("a");
  socket.bufferedAmount = 0;
  await clock.pass(100);
  assert.equal(socket.all("a").length, 1);
});

test("a socket that is closing is not written to", async (t) => {
  const { gateway, socket, server, clock } = await connected(t);
  socket.readyState = 2;
  assert.equal(gateway.emit("a"), false);
  socket.end();
  await clock.pass(5000);
  assert.equal(server.socket.all("a").length, 1);
});

test("what is larger than the server takes is refused", async (t) => {
  const { gateway, socket } = await connected(t);
  assert.throws(() => gateway.emit("a", "x".repeat(65_536)), { code: "too_large" });
  await assert.rejects(gateway.request("a", "x".repeat(65_536)), { code: "too_large" });
  assert.deepEqual(socket.sent, []);
});

test("what has waited and is larger than the server takes is told, and not sent", async (t) => {
  const { gateway, failed, back } = await offline(t);
  gateway.emit("a", "x".repeat(65_536));
  gateway.emit("b");
  const socket = await back();
  assert.deepEqual(failed, [["too_large", "a"]]);
  assert.deepEqual(socket.sent.map(({ event }) => event), ["b"]);
});

test("a closed gateway takes nothing", async (t) => {
  const { gateway } = await connected(t);
  gateway.close();
  assert.throws(() => gateway.emit("a"), { code: "closed" });
  assert.throws(() => gateway.emit("a", null, { volatile: true }), { code: "closed" });
  await assert.rejects(gateway.request("a"), { code: "closed" });
});

test("what waits is told as closed when the gateway is closed", async (t) => {
  const { gateway, failed } = await offline(t);
  gateway.emit("a");
  gateway.close();
  assert.deepEqual(failed, [["closed", "a"]]);
});

test("what is no JSON is refused, and changes nothing", async (t) => {
  const { gateway, socket } = await connected(t);
  const cyclic = {};
  cyclic.self = cyclic;
  for (const data of [cyclic, 1n, () => {}, Symbol("a")]) {
    assert.throws(() => gateway.emit("a", data), TypeError);
    await assert.rejects(gateway.request("a", data), TypeError);
  }
  gateway.emit("b");
  assert.deepEqual(socket.sent, [{ event: "b" }]);
});

test("an error that the server sends is told to the handlers of error", async (t) => {
  const { gateway, socket } = await connected(t);
  const errors = [];
  gateway.on("error", (error) => errors.push(error));
  socket.say("error", { code: "rate_limited", message: "too much", retry_after: 2 });
  const [{ name, code, message, retryAfter }] = errors;
  assert.deepEqual(
    [name, code, message, retryAfter],
    ["GatewayError", "rate_limited", "too much", 2],
  );
});

test("an error that the server sends is reported where nobody handles it", async (t) => {
  const { socket, reported } = await connected(t);
  socket.say("error", { code: "forbidden", message: "no" });
  assert.deepEqual(reported.splice(0).map(({ code }) => code), ["forbidden"]);
});
