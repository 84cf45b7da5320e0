// What was missed in a room: it comes again, or is told.

import assert from "node:assert/strict";
import test from "node:test";

import { connected, inRoom, names, reconnect } from "./world.js";

// With history

const HISTORY = { seq: 41, epoch: "k3f1", recovered: false };

test("each event is taken once, in its order", async (t) => {
  const { room, socket, told } = await inRoom(t, { joined: HISTORY });
  for (const seq of [40, 41, 42, 42, 43, 42]) socket.say("message", seq, { room: "tea", seq });
  assert.deepEqual(told, [
    ["message", 42],
    ["message", 43],
  ]);
  assert.deepEqual(room.position, { seq: 43, epoch: "k3f1" });
});

test("the position has moved when handlers are called, also where they throw", async (t) => {
  const { room, socket, told, reported } = await inRoom(t, { joined: HISTORY });
  const seen = [];
  const off = room.on("message", () => {
    seen.push(room.position.seq);
    throw new Error("no");
  });
  socket.say("message", 42, { room: "tea", seq: 42 }).say("message", 42, { room: "tea", seq: 42 });
  off();
  assert.deepEqual([seen, told, reported.splice(0).length], [[42], [["message", 42]], 1]);
});

test("volatile events, which have no place in the order, are taken as they come", async (t) => {
  const { room, socket, told } = await inRoom(t, { joined: HISTORY });
  socket.say("message", "typing", { room: "tea" });
  assert.deepEqual([told, room.position.seq], [[["message", "typing"]], 41]);
});

test("a hole has the room joined again from where it was, and nothing is told twice", async (t) => {
  const { room, socket, told } = await inRoom(t, { joined: HISTORY });
  for (const seq of [42, 44, 45]) socket.say("message", seq, { room: "tea", seq });
  assert.equal(socket.all("gateway:join").length, 2);
  assert.deepEqual(socket.last("gateway:join").data.since, { seq: 42, epoch: "k3f1" });
  assert.equal(room.isJoined, false);
  socket.joined("tea", { seq: 42, epoch: "k3f1", recovered: true, replayed: 3 });
  for (const seq of [43, 44, 45, 46]) socket.say("message", seq, { room: "tea", seq });
  assert.deepEqual(
    told.filter(([event]) => event === "message").map(([, seq]) => seq),
    [42, 43, 44, 45, 46],
  );
  assert.equal(names(told).includes("gap"), false);
});

test("a hole that the server cannot fill is a gap", async (t) => {
  const { socket, told } = await inRoom(t, { joined: HISTORY });
  socket.say("message", 44, { room: "tea", seq: 44 });
  socket.joined("tea", { seq: 44, epoch: "k3f1", recovered: false });
  assert.deepEqual(names(told), ["joined", "gap"]);
});

test("after a loss a room comes back from where it was", async (t) => {
  const all = await inRoom(t, { joined: HISTORY });
  const socket = await reconnect(all);
  assert.deepEqual(socket.last("gateway:join").data.since, { seq: 41, epoch: "k3f1" });
  socket.joined("tea", { seq: 41, epoch: "k3f1", recovered: true, replayed: 1 });
  socket.say("message", 42, { room: "tea", seq: 42 });
  assert.deepEqual(names(all.told), ["joined", "message"]);
});

for (const [what, joined] of [
  ["another place", { seq: 50, epoch: "k3f1", recovered: false }],
  ["the same place", { seq: 41, epoch: "k3f1", recovered: false }],
  ["another epoch", { seq: 41, epoch: "m0a", recovered: false }],
  ["no history any more", {}],
]) {
  test(`what is not recovered after a loss is a gap: ${what}`, async (t) => {
    const all = await inRoom(t, { joined: HISTORY });
    const socket = await reconnect(all);
    socket.joined("tea", joined);
    assert.deepEqual(names(all.told), ["joined", "gap"]);
    const { seq, epoch } = joined;
    assert.deepEqual(all.room.position, epoch ? { seq, epoch } : null);
  });
}

for (const [seq, expected] of [
  [41, ["joined"]],
  [45, ["joined", "gap"]],
]) {
  test(`a position of the page and ${seq} of the server tell ${expected}`, async (t) => {
    const { gateway, socket } = await connected(t);
    const room = gateway.join("tea", { since: { seq: 41, epoch: "k3f1" } });
    const told = [];
    for (const event of ["joined", "gap"]) room.on(event, () => told.push(event));
    socket.joined("tea", { seq, epoch: "k3f1", recovered: false });
    assert.deepEqual(told, expected);
  });
}

test("a gap of the server is told, and moves the position", async (t) => {
  const { gateway, room, socket, told } = await inRoom(t, { joined: HISTORY });
  const here = [];
  gateway.on("gateway:gap", (gap) => here.push(gap.room));
  const gap = { room: "tea", seq: 118, epoch: "m0a", since: 1, until: 2 };
  socket.say("gateway:gap", gap).say("message", 119, { room: "tea", seq: 119 });
  assert.deepEqual([told, here], [[["gap", gap], ["message", 119]], ["tea"]]);
  assert.deepEqual(room.position, { seq: 119, epoch: "m0a" });
});

test("a gap of a room that is not ours is none of ours", async (t) => {
  const { room, socket, told } = await inRoom(t, { joined: HISTORY });
  socket.say("gateway:gap", { room: "garden", seq: 118, epoch: "m0a" });
  assert.deepEqual([told, room.position], [[], { seq: 41, epoch: "k3f1" }]);
});

test("a gap of a room without history leaves it without a position", async (t) => {
  const { room, socket, told } = await inRoom(t);
  socket.say("gateway:gap", { room: "tea", since: 1, until: 2 });
  socket.say("message", 1, { room: "tea", seq: 7 });
  assert.deepEqual([names(told), room.position], [["gap", "message"], null]);
});

// Without history

test("a gap of all rooms is one of those without history", async (t) => {
  const { gateway, socket } = await connected(t, { rooms: ["tea", "garden", "away"] });
  const told = [];
  for (const name of ["tea", "garden", "away"]) {
    gateway.join(name).on("gap", (gap) => told.push([name, gap]));
  }
  socket.joined("tea", HISTORY).joined("garden");
  const gap = { room: null, since: 1, until: 2 };
  socket.say("gateway:gap", gap);
  assert.deepEqual(told, [["garden", gap]]);
});

test("a room without history has a gap after each loss, and not before", async (t) => {
  const all = await inRoom(t);
  const { told } = all;
  const second = await reconnect(all);
  assert.deepEqual(told, []);
  second.joined("tea").say("gateway:joined", { room: "tea" });
  assert.deepEqual(names(told), ["joined", "gap", "joined"]);
});

test("a room that was never joined before a loss has no gap", async (t) => {
  const { gateway, ...rest } = await connected(t, { rooms: ["tea"] });
  const told = [];
  gateway.join("tea").on("gap", (gap) => told.push(gap));
  const socket = await reconnect({ gateway, ...rest });
  socket.joined("tea");
  assert.deepEqual(told, []);
});

test("no gap is told of a room that a handler of joined has left", async (t) => {
  const all = await inRoom(t);
  all.room.on("joined", () => all.room.leave());
  const socket = await reconnect(all);
  socket.joined("tea");
  assert.deepEqual(names(all.told), ["joined", "left"]);
});
