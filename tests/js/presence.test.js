// Who is in a room.

import assert from "node:assert/strict";
import test from "node:test";

import { inRoom } from "./world.js";

/** Have a room with two, at the third version. */
async function withTwo(t, options) {
  const all = await inRoom(t, { join: { presence: true }, ...options });
  all.say = (data) => all.socket.say("gateway:presence", { room: "tea", ...data });
  all.say({ v: 3, count: 2, users: { 7: { name: "Ann" }, 8: { name: "Bob" } } });
  all.who = () => [...all.room.members].map(([key, { name }]) => `${key} ${name}`).sort();
  return all;
}

test("a snapshot says who is there, in the place of all before", async (t) => {
  const { say, who, room, told } = await withTwo(t);
  assert.deepEqual([who(), room.count], [["7 Ann", "8 Bob"], 2]);
  say({ v: 1, count: 1, users: { 9: { name: "Cid" } } });
  assert.deepEqual([who(), room.count], [["9 Cid"], 1]);
  assert.deepEqual(told.map(([event]) => event), ["presence", "presence"]);
});

test("a difference says who came, went, and changed", async (t) => {
  const { say, who, room } = await withTwo(t);
  say({ v: 4, count: 2, join: { 9: { name: "Cid" } }, leave: ["7"], update: {} });
  assert.deepEqual([who(), room.count], [["8 Bob", "9 Cid"], 2]);
  say({ v: 5, count: 2, join: {}, leave: [], update: { 8: { name: "Rob" } } });
  assert.deepEqual(who(), ["8 Rob", "9 Cid"]);
});

for (const [what, difference] of [
  ["who came", { join: { 9: { name: "Cid" } } }],
  ["who went", { leave: ["7"] }],
  ["who changed", { update: { 8: { name: "Rob" } } }],
]) {
  test(`a difference after a missing one asks for all anew: ${what}`, async (t) => {
    const { say, who, socket } = await withTwo(t);
    say({ v: 5, count: 2, ...difference });
    assert.deepEqual([who(), socket.all("gateway:join").length], [["7 Ann", "8 Bob"], 2]);
    assert.equal(socket.last("gateway:join").data.presence, true);
  });
}

test("the differences until the answer do not ask again", async (t) => {
  const { say, socket, who } = await withTwo(t);
  for (const v of [5, 6, 7]) say({ v, count: 2, join: {}, leave: ["7"], update: {} });
  assert.equal(socket.all("gateway:join").length, 2);
  socket.joined("tea");
  say({ v: 7, count: 1, users: { 8: { name: "Bob" } } });
  say({ v: 8, count: 2, join: { 9: { name: "Cid" } }, leave: [], update: {} });
  assert.deepEqual([who(), socket.all("gateway:join").length], [["8 Bob", "9 Cid"], 2]);
});

test("no event is lost while a room without history asks who is there", async (t) => {
  const { say, socket, told } = await withTwo(t);
  say({ v: 5, count: 1, join: {}, leave: ["7"], update: {} });
  socket.say("message", 1, { room: "tea" }).joined("tea").say("message", 2, { room: "tea" });
  const heard = told.filter(([event]) => event === "message" || event === "gap");
  assert.deepEqual(heard, [
    ["message", 1],
    ["message", 2],
  ]);
});

test("no event is told twice while a room with history asks who is there", async (t) => {
  const { say, socket, told } = await withTwo(t, { joined: { seq: 1, epoch: "k" } });
  say({ v: 5, count: 1, join: {}, leave: ["7"], update: {} });
  socket.say("message", 2, { room: "tea", seq: 2 });
  socket.joined("tea", { seq: 1, epoch: "k", recovered: true, replayed: 1 });
  for (const seq of [2, 3]) socket.say("message", seq, { room: "tea", seq });
  const heard = told.filter(([event]) => event === "message" || event === "gap");
  assert.deepEqual(heard, [
    ["message", 2],
    ["message", 3],
  ]);
});

test("a room without history that is refused when it asks again has a gap later", async (t) => {
  const { say, socket, told, clock, room } = await withTwo(t);
  say({ v: 5, count: 1, join: {}, leave: ["7"], update: {} });
  socket.refuse("gateway:join", { code: "unavailable" });
  assert.equal(room.isJoined, false);
  await clock.pass(10_000);
  socket.joined("tea");
  const heard = told.map(([event]) => event).filter((event) => event !== "presence");
  assert.deepEqual(heard, ["refused", "joined", "gap"]);
});

test("a count needs no names", async (t) => {
  const { room, socket, told } = await inRoom(t, { join: { presence: "count" } });
  socket.say("gateway:presence", { room: "tea", count: 10_234 });
  assert.deepEqual([room.count, room.members.size, told.length], [10_234, 0, 1]);
  assert.equal(socket.all("gateway:join").length, 1);
});

test("a key may have any name, and none changes what objects are", async (t) => {
  const { socket, room } = await inRoom(t, { join: { presence: true } });
  const say = (json) => socket.raw(`{"event":"gateway:presence","data":{"room":"tea",${json}}}`);
  say('"v":1,"count":2,"users":{"__proto__":{"admin":true},"constructor":{"name":"C"}}');
  assert.deepEqual([...room.members.keys()], ["__proto__", "constructor"]);
  say('"v":2,"count":2,"join":{"toString":{}},"leave":["constructor"],"update":{"__proto__":{}}');
  assert.deepEqual([...room.members.keys()], ["__proto__", "toString"]);
  assert.equal({}.admin, undefined);
});

test("a room may have any name", async (t) => {
  const { gateway, socket } = await inRoom(t);
  const room = gateway.join("__proto__");
  socket.joined("__proto__");
  const told = [];
  room.on("message", (data) => told.push(data));
  socket.say("message", 1, { room: "__proto__" }).say("message", 2, { room: "constructor" });
  assert.deepEqual(told, [1]);
});

test("the presence of a room that is not ours is nobody's but the gateway's", async (t) => {
  const { gateway, socket, told } = await inRoom(t);
  const here = [];
  gateway.on("gateway:presence", ({ room }) => here.push(room));
  socket.say("gateway:presence", { room: "garden", v: 1, count: 0, users: {} });
  assert.deepEqual([told, here], [[], ["garden"]]);
});
