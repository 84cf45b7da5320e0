// What is answered, and what becomes of a question whose answer may be lost.

import assert from "node:assert/strict";
import test from "node:test";

import { connected, outcome, world } from "./world.js";

test("a request returns what the server replies", async (t) => {
  const { gateway, socket } = await connected(t);
  const reply = gateway.request("message.send", { text: "hello" });
  socket.reply("message.send", { id: 9 });
  assert.deepEqual(await reply, { id: 9 });
});

test("any frame with the ref ends a request", async (t) => {
  const { gateway, socket } = await connected(t);
  const told = [];
  gateway.on("auth.refreshed", (data) => told.push(data));
  const reply = gateway.request("auth.refresh", { token: "b" });
  socket.reply("auth.refresh", { exp: 5 }, { as: "auth.refreshed" });
  assert.deepEqual([await reply, told], [{ exp: 5 }, []]);
});

test("an error with the ref rejects a request, with all that it says", async (t) => {
  const { gateway, socket, clock } = await connected(t);
  const asked = outcome(gateway.request("a"));
  const details = [{ path: "text", message: "missing" }];
  socket.refuse("a", { code: "invalid_payload", message: "so", retry_after: 2, details });
  await clock.pass(0);
  const { code, message, retryAfter, details: told } = asked.error;
  assert.deepEqual([code, message, retryAfter, told], ["invalid_payload", "so", 2, details]);
});

test("answers find their requests in whatever order they come", async (t) => {
  const { gateway, socket } = await connected(t);
  const [first, second] = [gateway.request("a"), gateway.request("b")];
  socket.reply("b", 2).reply("a", 1);
  assert.deepEqual(await Promise.all([first, second]), [1, 2]);
});

test("an answer counts once", async (t) => {
  const { gateway, socket, clock } = await connected(t);
  const asked = outcome(gateway.request("a"));
  socket.reply("a", 1).reply("a", 2).refuse("a", { code: "internal" });
  await clock.pass(20_000);
  assert.deepEqual([asked.value, asked.count], [1, 1]);
});

test("a request is given up after ten seconds, or its own timeout", async (t) => {
  const { gateway, clock } = await connected(t);
  const [own, usual] = [gateway.request("a", null, { timeout: 50 }), gateway.request("b")];
  const [first, second] = [outcome(own), outcome(usual)];
  await clock.pass(50);
  assert.deepEqual([first.code, second.count], ["timeout", 0]);
  await clock.pass(9_949);
  assert.equal(second.count, 0);
  await clock.pass(1);
  assert.equal(second.code, "timeout");
});

test("an answer that comes too late is nobody's", async (t) => {
  const { gateway, socket, clock } = await connected(t);
  const asked = outcome(gateway.request("a"));
  await clock.pass(10_000);
  socket.reply("a", 1);
  await clock.pass(0);
  assert.deepEqual([asked.code, asked.count], ["timeout", 1]);
});

test("a lost connection rejects what was asked, which is never asked again", async (t) => {
  const { gateway, socket, server, clock } = await connected(t);
  const asked = outcome(gateway.request("a"));
  socket.end();
  await clock.pass(5000);
  assert.deepEqual([asked.code, gateway.state], ["disconnected", "open"]);
  assert.deepEqual(server.socket.sent, []);
});

test("closing rejects what was asked", async (t) => {
  const { gateway, clock } = await connected(t);
  const asked = outcome(gateway.request("a"));
  gateway.close();
  await clock.pass(0);
  assert.deepEqual([asked.code, clock.pending], ["disconnected", 0]);
});

test("a request waits for the connection, and takes its ref once", async (t) => {
  const { gateway: make, clock, server } = world(t);
  const gateway = make();
  const [first, second] = [gateway.request("a"), gateway.request("b")];
  gateway.connect();
  await clock.pass(0);
  const refs = server.socket.sent.map(({ ref }) => ref);
  assert.equal(new Set(refs).size, 2);
  server.socket.reply("a", 1).reply("b", 2);
  assert.deepEqual(await Promise.all([first, second]), [1, 2]);
});

test("a request that has waited in vain is expired: it was never sent", async (t) => {
  const { gateway: make, clock, server } = world(t);
  const gateway = make();
  const asked = outcome(gateway.request("a", null, { timeout: 100 }));
  await clock.pass(100);
  assert.equal(asked.code, "expired");
  gateway.connect();
  await clock.pass(0);
  assert.deepEqual(server.socket.sent, []);
});

test("what finds the queue full is refused by its promise", async (t) => {
  const { gateway: make, clock } = world(t);
  const gateway = make();
  const waiting = [...Array(100)].map(() => outcome(gateway.request("a")));
  await assert.rejects(gateway.request("a"), { code: "queue_full" });
  gateway.close();
  await clock.pass(0);
  assert.ok(waiting.every(({ code, count }) => code === "closed" && count === 1));
});

test("a signal that has been given asks nothing", async (t) => {
  const { gateway, socket } = await connected(t);
  const signal = AbortSignal.abort("no more");
  await assert.rejects(gateway.request("a", null, { signal }), (error) => error === "no more");
  assert.deepEqual(socket.sent, []);
});

test("a signal gives a request up, and its answer is nobody's", async (t) => {
  const { gateway, socket, clock } = await connected(t);
  const controller = new AbortController();
  const asked = outcome(gateway.request("a", null, controller));
  controller.abort("enough");
  socket.reply("a", 1);
  await clock.pass(20_000);
  assert.deepEqual([asked.error, asked.count], ["enough", 1]);
});

test("a signal takes a request out of the queue", async (t) => {
  const { gateway: make, clock, server } = world(t);
  const gateway = make();
  const controller = new AbortController();
  const asked = outcome(gateway.request("a", null, controller));
  controller.abort("enough");
  gateway.connect();
  await clock.pass(0);
  assert.deepEqual([asked.error, server.socket.sent], ["enough", []]);
});

test("a signal that is given after the answer changes nothing", async (t) => {
  const { gateway, socket, clock } = await connected(t);
  const controller = new AbortController();
  const asked = outcome(gateway.request("a", null, controller));
  socket.reply("a", 1);
  controller.abort();
  await clock.pass(0);
  assert.deepEqual([asked.value, asked.count], [1, 1]);
});

test("a timeout may be longer than what a timer takes", async (t) => {
  const { gateway, clock } = await connected(t);
  const timeouts = [Infinity, 2 ** 31];
  const asked = timeouts.map((timeout) => outcome(gateway.request("a", null, { timeout })));
  await clock.pass(20_000);
  assert.deepEqual(asked, [{ count: 0 }, { count: 0 }]);
  gateway.close();
});

test("a server without the protocol answers nothing", async (t) => {
  const { gateway: make, clock, server } = world(t);
  server.manner = (socket) => socket.accept("");
  const gateway = make();
  const early = outcome(gateway.request("a"));
  gateway.connect();
  await clock.pass(0);
  assert.deepEqual([early.code, early.count], ["unsupported", 1]);
  await assert.rejects(gateway.request("a"), { code: "unsupported" });
  assert.deepEqual(server.socket.sent, []);
});
