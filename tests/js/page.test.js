// What a page tells: it is seen again, has a network again, or is put away for who comes back.

import assert from "node:assert/strict";
import test from "node:test";

import { connected, world } from "./world.js";

const WAKE_UPS = {
  "being seen": (page) => page.show(),
  resume: (page) => page.document.dispatchEvent(new Event("resume")),
  online: (page) => page.tell("online"),
  pageshow: (page) => page.tell("pageshow", { persisted: false }),
};

for (const [what, wake] of Object.entries(WAKE_UPS)) {
  test(`${what} ends a back-off, and asks for a token again`, async (t) => {
    const tokens = ["a", "b"];
    const { socket, server, clock, page } = await connected(t, { token: () => tokens.shift() });
    socket.end();
    wake(page);
    await clock.pass(0);
    assert.deepEqual(server.sockets.map(({ token }) => token), ["a", "b"]);
    await clock.pass(5000);
    assert.equal(server.sockets.length, 2);
  });

  test(`${what} skips nothing of what a bye advises`, async (t) => {
    const { socket, server, clock, page, states } = await connected(t);
    socket.bye(1012, { reconnect: "yes", after: 1000, spread: 10_000 });
    await clock.pass(states.at(-1).delay - 1);
    wake(page);
    await clock.pass(0);
    assert.equal(server.sockets.length, 1);
    await clock.pass(1);
    assert.equal(server.sockets.length, 2);
  });

  test(`${what} finds out whether the server is still there`, async (t) => {
    const { socket, clock, page, gateway } = await connected(t);
    wake(page);
    assert.equal(socket.last("gateway:ping").event, "gateway:ping");
    await clock.pass(5999);
    assert.equal(gateway.state, "open");
    await clock.pass(1);
    assert.equal(gateway.state, "waiting");
  });
}

test("a close with a code of the server's is advice as well", async (t) => {
  const { socket, server, clock, page } = await connected(t);
  socket.end(4429);
  page.show();
  await clock.pass(4999);
  assert.equal(server.sockets.length, 1);
});

test("a wake-up counts again when an attempt after the advice has failed", async (t) => {
  const { socket, server, clock, page, states } = await connected(t);
  server.manner = (each) => each.end();
  socket.bye(1012, { reconnect: "yes", after: 0, spread: 1000 });
  await clock.pass(states.at(-1).delay);
  page.show();
  await clock.pass(0);
  assert.equal(server.sockets.length, 3);
});

test("a wake-up does not begin the back-off anew", async (t) => {
  const { server, clock, page, states, gateway } = await connected(t);
  server.manner = (socket) => socket.end();
  server.socket.end();
  for (let i = 0; i < 5; i++) {
    page.show();
    await clock.pass(0);
  }
  assert.equal(states.at(-1).delay, 0.75 * 16_000);
  gateway.close();
});

test("an answer to the question whether it is there settles it", async (t) => {
  const { socket, clock, page, gateway } = await connected(t);
  page.tell("offline");
  socket.reply("gateway:ping", null);
  await clock.pass(20_000);
  assert.equal(gateway.state, "open");
});

test("offline is no end: the network may be back, or never have been needed", async (t) => {
  const { socket, clock, page, states } = await connected(t);
  page.tell("offline");
  assert.equal(states.at(-1).state, "open");
  assert.equal(socket.all("gateway:ping").length, 1);
  await clock.pass(6000);
  assert.equal(states.at(-1).state, "waiting");
});

test("offline does not end a wait", async (t) => {
  const { socket, server, clock, page, it } = await connected(t);
  it.chance = 0.5;
  socket.end();
  page.tell("offline");
  await clock.pass(0);
  assert.equal(server.sockets.length, 1);
});

test("being hidden changes nothing", async (t) => {
  const { socket, page, gateway } = await connected(t);
  page.show(false);
  assert.deepEqual([socket.sent, gateway.state], [[], "open"]);
});

test("while it is connecting a wake-up changes nothing", async (t) => {
  const { gateway: make, server, clock, page } = world(t);
  server.manner = () => {};
  const gateway = make();
  gateway.connect();
  await clock.pass(0);
  for (const wake of Object.values(WAKE_UPS)) wake(page);
  await clock.pass(0);
  assert.deepEqual([server.sockets.length, gateway.state], [1, "connecting"]);
  gateway.close();
});

test("a page that is put away has no connection, and one when it is shown", async (t) => {
  const { socket, server, clock, page, gateway } = await connected(t, { rooms: ["tea"] });
  page.tell("pagehide", { persisted: true });
  assert.ok(socket.readyState > 1);
  assert.equal(gateway.state, "waiting");
  await clock.pass(60_000);
  assert.deepEqual([server.sockets.length, clock.pending], [1, 0]);
  page.tell("pageshow", { persisted: true });
  await clock.pass(0);
  assert.deepEqual([gateway.state, server.socket.all("gateway:join").length], ["open", 1]);
});

test("a page that is put away while it waits is connected when it is shown", async (t) => {
  const { socket, server, clock, page, gateway } = await connected(t);
  socket.end();
  page.tell("pagehide", { persisted: true });
  clock.sleep(100);
  page.tell("pageshow", { persisted: true });
  await clock.pass(0);
  assert.deepEqual([gateway.state, server.sockets.length], ["open", 2]);
});

test("to put a page away skips nothing of what a bye advises", async (t) => {
  const { socket, server, clock, page, states } = await connected(t);
  socket.bye(1012, { reconnect: "yes", after: 10_000, spread: 0 });
  page.tell("pagehide", { persisted: true });
  page.tell("pageshow", { persisted: true });
  await clock.pass(9_999);
  assert.deepEqual([server.sockets.length, states.at(-1).state], [1, "waiting"]);
  await clock.pass(1);
  assert.equal(server.sockets.length, 2);
});

test("what a bye has advised once holds until it has been obeyed, and not longer", async (t) => {
  const { socket, server, clock, page } = await connected(t);
  socket.bye(1012, { reconnect: "yes", after: 0, spread: 0 });
  await clock.pass(0);
  page.tell("pagehide", { persisted: true });
  page.tell("pageshow", { persisted: true });
  await clock.pass(0);
  assert.equal(server.sockets.length, 3);
});

test("a page that ends closes nothing: the browser does", async (t) => {
  const { socket, page, gateway } = await connected(t);
  page.tell("pagehide", { persisted: false });
  assert.deepEqual([socket.readyState, gateway.state], [1, "open"]);
});

for (const [what, end] of [
  ["closed", (gateway) => gateway.close()],
  ["closed for good by the server", (gateway, socket) => socket.end(4403)],
]) {
  test(`a gateway that is ${what} sleeps through all of it`, async (t) => {
    const { gateway, socket, server, clock, page } = await connected(t);
    end(gateway, socket);
    page.tell("pagehide", { persisted: true });
    for (const wake of Object.values(WAKE_UPS)) wake(page);
    await clock.pass(60_000);
    assert.deepEqual([server.sockets.length, gateway.state], [1, "closed"]);
  });
}

test("connecting again listens to the page once", async (t) => {
  const { gateway, socket, server, clock, page } = await connected(t);
  socket.end();
  gateway.connect();
  await clock.pass(0);
  page.show();
  assert.equal(server.socket.all("gateway:ping").length, 1);
});

test("a worker, or Node, has no page and needs none", async (t) => {
  const { gateway: make, clock } = world(t, { hasPage: false });
  const gateway = make();
  gateway.connect();
  await clock.pass(0);
  assert.equal(gateway.state, "open");
});

test("a relative url is one of the page's", async (t) => {
  const { gateway: make, server, clock } = world(t);
  for (const [url, expected] of [
    ["/ws/chat/", "wss://example.com/ws/chat/"],
    ["../ws/?room=tea#here", "wss://example.com/ws/?room=tea"],
    ["http://127.0.0.1:8000/ws/", "ws://127.0.0.1:8000/ws/"],
    [new URL("https://example.org/ws/"), "wss://example.org/ws/"],
  ]) {
    make({}, url).connect();
    await clock.pass(0);
    assert.equal(server.socket.url, expected);
  }
});

test("a url that is no WebSocket's is refused at once", (t) => {
  const { gateway: make } = world(t);
  for (const url of ["ftp://example.com/", "mailto:a@example.com", "data:,a", "wss://"]) {
    assert.throws(() => make({}, url), TypeError);
  }
});

test("a relative url without a page is refused at once", (t) => {
  const { gateway: make } = world(t, { hasPage: false });
  assert.throws(() => make({}, "/ws/chat/"), TypeError);
});
