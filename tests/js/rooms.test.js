// Who is in a room, and what is heard there.

import assert from "node:assert/strict";
import test from "node:test";

import { connected, inRoom, world } from "./world.js";

test("a room is asked for by its name, and is joined when the server says so", async (t) => {
  const { gateway, socket } = await connected(t);
  const room = gateway.join("tea");
  const told = [];
  room.on("joined", (joined) => told.push(joined));
  assert.deepEqual([socket.last("gateway:join").data, room.isJoined], [{ room: "tea" }, false]);
  socket.joined("tea");
  assert.deepEqual([told, room.isJoined], [[{ room: "tea" }], true]);
});

test("rooms of the beginning, and those of before the connection, are joined", async (t) => {
  const { gateway: make, server, clock } = world(t);
  const gateway = make({ rooms: ["tea"] });
  gateway.join("garden");
  gateway.connect();
  await clock.pass(0);
  const rooms = server.socket.all("gateway:join").map(({ data }) => data.room);
  assert.deepEqual(rooms, ["tea", "garden"]);
});

test("a room that a handler of the open state joins is asked for once", async (t) => {
  const { gateway: make, server, clock } = world(t);
  const gateway = make();
  gateway.on("gateway:state", ({ state }) => state === "open" && gateway.join("tea"));
  gateway.connect();
  await clock.pass(0);
  assert.equal(server.socket.all("gateway:join").length, 1);
});

test("joining twice is one room, asked for once", async (t) => {
  const { gateway, socket } = await connected(t);
  assert.equal(gateway.join("tea"), gateway.join("tea"));
  assert.equal(socket.all("gateway:join").length, 1);
});

test("a room says since when, and whether it wants to know who is there", async (t) => {
  const { gateway, socket } = await connected(t);
  const since = { seq: 41, epoch: "k3f1" };
  gateway.join("tea", { since, presence: "count" });
  assert.deepEqual(socket.last("gateway:join").data, { room: "tea", since, presence: "count" });
});

test("an event of a room reaches its handlers, and then those of the gateway", async (t) => {
  const { gateway, room, socket } = await inRoom(t);
  const order = [];
  gateway.on("message", (data, frame) => order.push(["gateway", data, frame.room]));
  room.on("message", (data, frame) => order.push(["room", data, frame.room]));
  socket.say("message", 1, { room: "tea" });
  assert.deepEqual(order, [
    ["room", 1, "tea"],
    ["gateway", 1, "tea"],
  ]);
});

test("an event that a room sends has its name", async (t) => {
  const { room, socket } = await inRoom(t);
  assert.equal(room.emit("message.send", { text: "hello" }), true);
  assert.deepEqual(socket.last("message.send").data, { text: "hello", room: "tea" });
});

test("events of a room are dropped until it is joined", async (t) => {
  const { gateway, socket } = await connected(t);
  const room = gateway.join("tea");
  const told = [];
  for (const each of [room, gateway]) each.on("message", (data) => told.push(data));
  socket.say("message", 1, { room: "tea" });
  assert.deepEqual(told, []);
  socket.joined("tea").say("message", 2, { room: "tea" });
  assert.deepEqual(told, [2, 2]);
});

test("events of a room that only the server has joined reach the gateway", async (t) => {
  const { gateway, socket } = await connected(t);
  const told = [];
  gateway.on("message", (data, { room }) => told.push([data, room]));
  socket.say("message", 1, { room: "tea" });
  assert.deepEqual(told, [[1, "tea"]]);
});

test("events without a room are nobody's but the gateway's, whatever their data", async (t) => {
  const { gateway, socket, told } = await inRoom(t);
  const here = [];
  gateway.on("message", (data) => here.push(data.room));
  socket.say("message", { room: "tea" });
  assert.deepEqual([here, told], [["tea"], []]);
});

for (const event of ["joined", "gap", "presence", "left", "refused"]) {
  test(`an event of the application named ${event} is not taken for the room's`, async (t) => {
    const { gateway, socket, told } = await inRoom(t);
    const here = [];
    gateway.on(event, (data) => here.push(data));
    socket.say(event, { forged: true }, { room: "tea" });
    assert.deepEqual([told, here], [[], [{ forged: true }]]);
  });
}

// Joined by both

test("a join of the server while one is pending does not have events told twice", async (t) => {
  const { gateway, socket } = await connected(t);
  const room = gateway.join("tea", { since: { seq: 8, epoch: "k3f1" } });
  const told = [];
  room.on("message", (data) => told.push(data));
  room.on("gap", () => told.push("gap"));
  socket.say("gateway:joined", { room: "tea", seq: 10, epoch: "k3f1" });
  socket.say("message", 11, { room: "tea", seq: 11 });
  socket.joined("tea", { seq: 8, epoch: "k3f1", recovered: true });
  for (const seq of [9, 10, 11, 12]) socket.say("message", seq, { room: "tea", seq });
  assert.deepEqual(told, [9, 10, 11, 12]);
});

test("a join of the server is one of a room that was to be tried again", async (t) => {
  const { gateway, socket } = await connected(t);
  const room = gateway.join("tea");
  socket.refuse("gateway:join", { code: "unavailable" });
  socket.say("gateway:joined", { room: "tea" });
  assert.equal(room.isJoined, true);
});

test("a room of a server without the protocol is refused", async (t) => {
  const { gateway: make, clock, server } = world(t);
  server.manner = (socket) => socket.accept("");
  const gateway = make();
  const told = [];
  gateway.join("tea").on("refused", (error) => told.push(error.code));
  gateway.connect();
  await clock.pass(0);
  assert.deepEqual([told, server.socket.sent], [["unsupported"], []]);
});

test("a refusal that nobody handles is reported, where the room is given up", async (t) => {
  const { gateway, socket, reported } = await connected(t);
  gateway.join("tea");
  socket.refuse("gateway:join", { code: "forbidden" });
  assert.deepEqual(reported.splice(0).map(({ code }) => code), ["forbidden"]);
});

test("who closes all when a room is refused has closed all", async (t) => {
  const { gateway: make, clock, server, states } = world(t);
  server.manner = (socket) => socket.accept("");
  const gateway = make();
  gateway.join("tea").on("refused", () => gateway.close());
  gateway.connect();
  await clock.pass(60_000);
  assert.deepEqual([gateway.state, states.at(-1).state], ["closed", "closed"]);
});

test("who asks again for each room that is refused is told of each once", async (t) => {
  const { gateway: make, clock, server, reported } = world(t);
  server.manner = (socket) => socket.accept("");
  const gateway = make();
  let refusals = 0;
  const enter = () => gateway.join("tea").on("refused", again);
  const again = () => {
    refusals++;
    enter();
  };
  enter();
  gateway.connect();
  await clock.pass(60_000);
  assert.equal(refusals, 1);
  reported.length = 0;
});
