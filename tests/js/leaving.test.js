// How a room is left, by whom, and what becomes of a join that is refused.

import assert from "node:assert/strict";
import test from "node:test";

import { connected, inRoom, names, reconnect } from "./world.js";

// Leaving

test("who leaves hears nothing more, and tells the server", async (t) => {
  const { gateway, room, socket, told } = await inRoom(t);
  const here = [];
  gateway.on("message", (data) => here.push(data));
  room.leave();
  socket.say("message", 1, { room: "tea" });
  assert.deepEqual(socket.last("gateway:leave").data, { room: "tea" });
  assert.deepEqual([names(told), here, room.isJoined], [["left"], [], false]);
});

test("a room that was left is not joined after a loss", async (t) => {
  const all = await inRoom(t);
  all.gateway.leave("tea");
  const socket = await reconnect(all);
  assert.deepEqual(socket.sent, []);
});

test("to leave twice, or what is no room, does nothing", async (t) => {
  const { gateway, room, socket, told } = await inRoom(t);
  room.leave();
  room.leave();
  gateway.leave("tea");
  gateway.leave("garden");
  assert.deepEqual([names(told), socket.all("gateway:leave").length], [["left"], 1]);
});

test("who leaves while the join is pending is not in when its answer comes", async (t) => {
  const { gateway, socket } = await connected(t);
  const room = gateway.join("tea");
  const told = [];
  for (const event of ["joined", "left", "message"]) room.on(event, () => told.push(event));
  gateway.on("message", () => told.push("elsewhere"));
  room.leave();
  socket.joined("tea").say("message", 1, { room: "tea" });
  assert.deepEqual([told, room.isJoined], [["left"], false]);
});

test("who leaves and joins again hears by the answer of the second join only", async (t) => {
  const { gateway, room, socket } = await inRoom(t);
  const told = [];
  gateway.on("message", (data) => told.push(data));
  room.leave();
  const again = gateway.join("tea");
  assert.notEqual(again, room);
  socket.say("message", 1, { room: "tea" }).reply("gateway:leave", { room: "tea" });
  assert.equal(again.isJoined, false);
  socket.joined("tea").say("message", 2, { room: "tea" });
  assert.deepEqual([told, again.isJoined, room.isJoined], [[2], true, false]);
});

test("the answer to an older leave lets nothing through of a room left again", async (t) => {
  const { gateway, room, socket } = await inRoom(t);
  const told = [];
  gateway.on("message", (data) => told.push(data));
  room.leave();
  const older = socket.last("gateway:leave").ref;
  gateway.join("tea").leave();
  socket.reply("gateway:leave", { room: "tea" }, { as: "gateway:left", ref: older });
  socket.joined("tea").say("message", 1, { room: "tea" });
  assert.deepEqual(told, []);
});

test("a room that is held stays until all have let go, a turn later", async (t) => {
  const { room, told, clock } = await inRoom(t);
  room.hold()();
  const [first, second] = [room.hold(), room.hold()];
  first();
  first();
  await clock.pass(100);
  assert.deepEqual(told, []);
  second();
  await clock.pass(0);
  assert.deepEqual(names(told), ["left"]);
});

test("a room that the server takes one out of is not joined again", async (t) => {
  const all = await inRoom(t);
  const here = [];
  all.gateway.on("gateway:left", ({ reason }) => here.push(reason));
  all.socket.say("gateway:left", { room: "tea", reason: "kicked" });
  const socket = await reconnect(all);
  assert.deepEqual([names(all.told), here, socket.sent], [["left"], ["kicked"], []]);
  assert.notEqual(all.gateway.join("tea"), all.room);
});

// Refused

test("a join that is refused for good is told, and not tried again", async (t) => {
  const { gateway, socket, clock, server } = await connected(t);
  const told = [];
  gateway.join("tea").on("refused", (error) => told.push(error.code));
  socket.refuse("gateway:join", { code: "forbidden" });
  await clock.pass(20_000);
  await reconnect({ socket, server, clock, gateway });
  assert.deepEqual([told, socket.all("gateway:join").length], [["forbidden"], 1]);
  assert.deepEqual(server.socket.sent, []);
});

for (const [error, least] of [
  [{ code: "forbidden", retry_after: 2 }, 2000],
  [{ code: "unavailable" }, 5000],
  [{ code: "timeout" }, 5000],
  [{ code: "rate_limited", retry_after: 3 }, 3000],
]) {
  const { code, retry_after: after } = error;
  test(`a join refused as ${code}, after ${after}, is tried again and told`, async (t) => {
    const { it, gateway, socket, clock } = await connected(t);
    it.chance = 0.5;
    const told = [];
    const room = gateway.join("tea");
    room.on("refused", (refused) => told.push(refused.code));
    socket.refuse("gateway:join", error);
    assert.equal(socket.all("gateway:join").length, 1);
    await clock.pass(1.5 * least - 1);
    assert.equal(socket.all("gateway:join").length, 1);
    await clock.pass(1);
    assert.equal(socket.all("gateway:join").length, 2);
    socket.joined("tea");
    assert.deepEqual([told, room.isJoined], [[code], true]);
  });
}

test("a join may be refused with leave to try again at once", async (t) => {
  const { gateway, socket, clock } = await connected(t);
  gateway.join("tea");
  socket.refuse("gateway:join", { code: "busy", retry_after: 0 });
  await clock.pass(0);
  assert.equal(socket.all("gateway:join").length, 2);
});

test("a join that nobody answers is tried again", async (t) => {
  const { gateway, socket, clock } = await connected(t);
  gateway.join("tea");
  await clock.pass(18_000);
  assert.equal(socket.all("gateway:join").length, 2);
});

test("a room that was left while it was to be tried again is not", async (t) => {
  const { gateway, socket, clock } = await connected(t);
  const room = gateway.join("tea");
  socket.refuse("gateway:join", { code: "unavailable" });
  room.leave();
  await clock.pass(15_000);
  assert.equal(socket.all("gateway:join").length, 1);
});

test("the answer to an older join, of a room that was joined anew, is nobody's", async (t) => {
  const { gateway, socket } = await connected(t);
  gateway.join("tea").leave();
  const [{ ref }] = socket.all("gateway:join");
  const told = [];
  const room = gateway.join("tea");
  for (const event of ["joined", "refused"]) room.on(event, () => told.push(event));
  socket.reply("gateway:join", { code: "forbidden" }, { as: "error", ref });
  assert.deepEqual([told, gateway.join("tea") === room], [[], true]);
});
