// What a gateway hears where WebSockets are blocked, and what it cannot do there.

import assert from "node:assert/strict";
import test from "node:test";

import { outcome } from "./world.js";
import { listening, STREAM, streamWorld } from "./streams.js";

test("a WebSocket that opens is used, and no stream is asked for", async (t) => {
  const { it, gateway, clock } = await listening(t, { manner: (socket) => socket.accept().welcome() });
  assert.equal(gateway.state, "open");
  const answer = outcome(gateway.request("double", 4));
  it.server.socket.reply("double", 8);
  await clock.pass(0);
  assert.deepEqual([answer.value, it.streams.length], [8, 0]);
});

test("where none can be opened it listens", async (t) => {
  const { it, gateway, clock } = await listening(t);
  const heard = [];
  gateway.on("news", (data, frame) => heard.push([data, frame.event]));
  it.stream.say("news", 1);
  await clock.pass(0);
  assert.equal(gateway.state, "open");
  assert.deepEqual(heard, [[1, "news"]]);
  assert.equal(it.stream.url.href, STREAM);
  assert.equal(it.stream.headers.get("accept"), "text/event-stream");
});

test("a socket that does not say whether it can be opened is waited for no longer than 5 s", async (t) => {
  const { it, gateway, clock } = await listening(t, { manner() {} });
  await clock.pass(4800);
  assert.deepEqual([gateway.state, it.streams.length], ["connecting", 0]);
  await clock.pass(300);
  assert.deepEqual([gateway.state, it.streams.length], ["open", 1]);
  it.server.socket.accept().welcome(); // Too late.
  assert.deepEqual([it.server.socket.readyState > 1, gateway.state], [true, "open"]);
});

test("a server that refuses a socket by its code is not asked for a stream", async (t) => {
  const manner = (socket) => socket.accept().bye(4403, { reconnect: "no" });
  const { it, gateway } = await listening(t, { manner });
  assert.deepEqual([gateway.state, it.streams.length], ["closed", 0]);
});

test("where a socket has opened before, the third failure in a row is the network's", async (t) => {
  const { it, clock, server } = await listening(t, { manner: (socket) => socket.accept().welcome() });
  server.manner = (socket) => socket.end();
  server.socket.end();
  while (server.sockets.length < 3) await clock.pass(100);
  assert.equal(it.streams.length, 0);
  while (server.sockets.length < 4) await clock.pass(100);
  await clock.pass(0);
  assert.equal(it.streams.length, 1);
});

test("each attempt begins with a WebSocket, and goes back to it", async (t) => {
  const { it, clock, server, gateway } = await listening(t);
  server.manner = (socket) => socket.accept().welcome();
  it.stream.end();
  await clock.pass(5000);
  assert.deepEqual([gateway.state, server.sockets.length, it.streams.length], ["open", 2, 1]);
});

test("without WebSockets it always listens", async (t) => {
  const { it, gateway } = await listening(t, { WebSocket: null });
  assert.deepEqual([gateway.state, it.streams.length, it.server.sockets.length], ["open", 1, 0]);
});

test("rooms are asked for together, once", async (t) => {
  const { it, gateway } = await listening(t, { gateway: { rooms: ["tea", "a & b"] } });
  assert.deepEqual(it.streams.map(({ rooms }) => rooms), [[], ["tea", "a & b"]]);
  assert.deepEqual([gateway.join("tea").isJoined, gateway.join("a & b").isJoined], [true, true]);
  assert.equal(it.streams[0].isAborted, true);
});

test("rooms that come later are asked for with those that are there, which hear of a gap", async (t) => {
  const { it, gateway, clock } = await listening(t, { gateway: { rooms: ["tea"] } });
  const gaps = [];
  for (const name of ["tea", "coffee", "milk"]) {
    gateway.join(name).on("gap", ({ room }) => gaps.push([name, room]));
  }
  await clock.pass(100);
  assert.deepEqual(it.streams.at(-1).rooms, ["tea", "coffee", "milk"]);
  assert.deepEqual([it.streams.length, gateway.join("milk").isJoined], [3, true]);
  assert.deepEqual(gaps, [["tea", null]]);
});

test("a new connection asks for its rooms at once", async (t) => {
  const { it, gateway, clock } = await listening(t, { gateway: { rooms: ["tea"] } });
  it.stream.end();
  await clock.pass(5000);
  assert.deepEqual(it.streams.map(({ rooms }) => rooms), [[], ["tea"], ["tea"]]);
  assert.equal(gateway.join("tea").isJoined, true);
});

test("a room that is refused is told so, and not asked for again", async (t) => {
  const it = streamWorld(t);
  it.greet = (stream) => {
    stream.accept().welcome();
    const no = { code: "forbidden", message: "staff only" };
    stream.rooms.forEach((room, at) => stream.say("error", no, { ref: at + 1 }));
  };
  const gateway = it.listening();
  const refused = [];
  gateway.join("staff").on("refused", ({ code, message }) => refused.push([code, message]));
  gateway.connect();
  await it.clock.pass(100);
  assert.deepEqual(refused, [["forbidden", "staff only"]]);
  it.greet = (stream) => stream.accept().welcome().joinAll();
  gateway.join("tea");
  await it.clock.pass(100);
  assert.deepEqual(it.stream.rooms, ["tea"]);
});

test("a room that is refused by a later stream is left", async (t) => {
  const { it, gateway, clock } = await listening(t, { gateway: { rooms: ["tea"] } });
  const left = [];
  gateway.join("tea").on("left", ({ reason }) => left.push(reason));
  it.greet = (stream) => stream.accept().welcome().say("error", { code: "forbidden" }, { ref: 1 });
  gateway.join("milk");
  await clock.pass(100);
  assert.deepEqual(left, ["forbidden"]);
});

test("a room that is left is not heard, and can be joined again", async (t) => {
  const { it, gateway, clock } = await listening(t, { gateway: { rooms: ["tea"] } });
  const heard = [];
  gateway.on("news", (data) => heard.push(data));
  gateway.leave("tea");
  await clock.pass(0);
  it.stream.say("news", 1, { room: "tea" });
  await clock.pass(0);
  const room = gateway.join("tea");
  await clock.pass(0);
  it.stream.say("news", 2, { room: "tea" });
  await clock.pass(0);
  assert.deepEqual([heard, room.isJoined, it.streams.length], [[2], true, 2]);
});

test("what is sent is refused as unsupported", async (t) => {
  const { gateway, clock } = await listening(t);
  const answer = outcome(gateway.request("double", 4));
  const errors = [];
  gateway.on("error", ({ code, message }) => errors.push([code, message]));
  gateway.emit("typing");
  await clock.pass(0);
  assert.equal(answer.code, "unsupported");
  assert.deepEqual(errors, [
    ["unsupported", "typing: nothing can be sent where WebSockets are blocked"],
  ]);
});

test("a token goes along as a header, and a new one with a new stream", async (t) => {
  let number = 0;
  const it = streamWorld(t);
  it.greet = (stream) => stream.accept().welcome({ time: 1000, exp: 1010 });
  const gateway = it.listening({ token: () => `token-${++number}` });
  gateway.connect();
  await it.clock.pass(8100);
  const tokens = it.streams.map(({ headers }) => headers.get("authorization"));
  assert.deepEqual(tokens, ["Bearer token-1", "Bearer token-2"]);
  await it.clock.pass(8100);
  assert.equal(it.streams.length, 3);
});

for (const [status, code, state] of [
  [204, 1000, "closed"],
  [401, 4401, "closed"],
  [403, 4403, "closed"],
  [404, 1006, "waiting"],
  [429, 4409, "waiting"],
  [500, 1006, "waiting"],
  [503, 4409, "waiting"],
]) {
  test(`the status ${status} is a close with ${code}`, async (t) => {
    const it = streamWorld(t);
    it.greet = (stream) => stream.refuse(status);
    it.listening().connect();
    await it.clock.pass(0);
    assert.deepEqual([it.states.at(-1).state, it.states.at(-1).code], [state, code]);
  });
}

test("a refusal that is a bye is obeyed", async (t) => {
  const it = streamWorld(t);
  const data = { code: 1012, reason: "the server restarts", reconnect: "yes", after: 700, spread: 0 };
  it.greet = (stream) => stream.refuse(503, { event: "gateway:bye", data });
  it.listening().connect();
  await it.clock.pass(0);
  const { state, code, delay } = it.states.at(-1);
  assert.deepEqual([state, code, delay], ["waiting", 1012, 700]);
});

test("a bye at the end of a stream is obeyed", async (t) => {
  const { it, states, clock } = await listening(t);
  it.stream.say("gateway:bye", { code: 4403, reason: "not you", reconnect: "no" }).end();
  await clock.pass(0);
  assert.deepEqual([states.at(-1).state, states.at(-1).reason], ["closed", "not you"]);
});

test("a stream that is lost is a lost connection", async (t) => {
  const { it, states, clock } = await listening(t);
  it.stream.fail();
  await clock.pass(0);
  assert.deepEqual([states.at(-1).state, states.at(-1).code], ["waiting", 1006]);
});

test("a gateway that is closed hears no more, and leaves nothing behind", async (t) => {
  const { it, gateway, clock } = await listening(t, { gateway: { rooms: ["tea"] } });
  gateway.join("milk");
  gateway.close();
  await clock.pass(60_000);
  assert.deepEqual([it.streams.length, it.stream.isAborted, clock.pending], [2, true, 0]);
});

test("a gateway that is closed while the socket opens asks for no stream", async (t) => {
  const { it, gateway, clock } = await listening(t, { manner() {} });
  gateway.close();
  await clock.pass(60_000);
  assert.deepEqual([it.streams.length, clock.pending, gateway.state], [0, 0, "closed"]);
});

test("a silent stream is given up as a silent socket is", async (t) => {
  const { it, states, clock } = await listening(t);
  await clock.pass(20_000);
  it.stream.say("gateway:ping", null);
  await clock.pass(30_000);
  assert.equal(states.at(-1).state, "open");
  await clock.pass(1500);
  assert.deepEqual([states.at(-1).state, states.at(-1).reason], ["waiting", "silence"]);
});

test("events are put together however they are cut", async (t) => {
  const { it, gateway, clock } = await listening(t);
  const heard = [];
  gateway.on("news", (data) => heard.push(data));
  const bytes = ': comment\n\nretry: 5\n\ndata: {"event":\ndata: "news","data":"größe"}\n\n';
  const [before, after] = [bytes.slice(0, 44), bytes.slice(44)];
  it.stream.raw(before);
  it.stream.raw(after);
  await clock.pass(0);
  assert.deepEqual(heard, ["größe"]);
});
