// Thousands of random schedules of everything that can go wrong; none may go wrong unseen.
//
// ARCLY_SCHEDULES says how many, ARCLY_SEED with which to begin: that of a failure shows it again.

import assert from "node:assert/strict";
import test from "node:test";

import { Gateway } from "../../arcly_channels/static/arcly_channels/gateway.js";
import { settled } from "./clock.js";
import { Model } from "./model.js";
import { Witness } from "./witness.js";
import { ADDRESS, outcome, surroundings } from "./world.js";

const COUNT = Number(process.env.ARCLY_SCHEDULES ?? 2000);
const FIRST = Number(process.env.ARCLY_SEED ?? 1);
const STEPS = 60;

/** Return a generator of numbers from 0 to 1, the same ones for the same seed (mulberry32). */
function generator(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One client, one server, and what is known of what they have done. */
class Schedule {
  #it = surroundings();
  #sent = 0;
  #witnesses = new Map();
  #requests = [];
  /** The events that were not taken, or were told as failed. */
  #failed = [];

  constructor(seed) {
    const { server, clock } = this.#it;
    this.random = this.#it.random = generator(seed);
    this.model = new Model(clock, this.random);
    server.manner = (socket) => this.model.meet(socket);
    this.gateway = new Gateway(ADDRESS, { WebSocket: server.WebSocket });
    this.gateway.on("error", (_, { event }) => this.#failed.push(event));
  }

  async run() {
    try {
      this.gateway.connect();
      for (let step = 0; step < STEPS; step++) {
        const [, act] = this.#pick(ACTIONS);
        act(this, this.#it);
        await this.#it.clock.pass(this.#pick(WAITS)[1]);
      }
      await this.#end();
    } finally {
      this.#it.restore();
    }
  }

  #pick(weighted) {
    let left = this.random() * weighted.reduce((sum, [weight]) => sum + weight, 0);
    return weighted.find(([weight]) => (left -= weight) < 0);
  }

  one(list) {
    return list[Math.floor(this.random() * list.length)];
  }

  // The client

  join(name) {
    const since = this.random() < 0.3 ? this.#witnesses.get(name)?.room.position : undefined;
    const room = this.gateway.join(name, { since: since ?? undefined });
    const known = this.#witnesses.get(name);
    if (known?.room !== room) this.#witnesses.set(name, new Witness(room, since));
    else known.listen(); // Again, and is told once all the same.
  }

  leave(name) {
    this.gateway.leave(name);
  }

  emit(options) {
    const event = `emit-${++this.#sent}`;
    try {
      const isOnItsWay = this.gateway.emit(event, "x".repeat(this.random() * 9000), options);
      if (options?.volatile && !isOnItsWay) this.#failed.push(event);
    } catch (error) {
      assert.equal(error.code, "queue_full");
      this.#failed.push(event);
    }
  }

  ask() {
    const event = `ask-${++this.#sent}`;
    const controller = new AbortController();
    const asked = this.gateway.request(event, null, { signal: controller.signal });
    this.#requests.push([event, outcome(asked)]);
    if (this.random() < 0.1) controller.abort();
  }

  // The server

  withSession(act) {
    if (this.model.sessions.size) act(this.one([...this.model.sessions]));
  }

  // The end

  async #end() {
    const { clock, page, server, reported } = this.#it;
    this.model.isDown = false;
    page.tell("pageshow", { persisted: true });
    await clock.pass(120_000);
    assert.equal(this.gateway.state, "open", "it is back");
    for (const room of this.model.all) room.publish();
    await clock.pass(10_000);
    for (const [name, witness] of this.#witnesses) witness.conclude(this.model.rooms[name]);
    this.#checkSent(server.sockets.flatMap(({ sent }) => sent));
    this.gateway.close();
    await settled();
    assert.deepEqual([clock.pending, reported], [0, []], "nothing is left");
  }

  #checkSent(frames) {
    const written = frames.map(({ event }) => event).filter((event) => /^(emit|ask)-/.test(event));
    assert.equal(new Set(written).size, written.length, "nothing is sent twice");
    const order = written.filter((event) => event.startsWith("emit")).map((each) => +each.slice(5));
    assert.deepEqual(order, order.toSorted((a, b) => a - b), "what is sent keeps its order");
    const ends = [...order.map((each) => `emit-${each}`), ...this.#failed].sort();
    const asked = new Set(this.#requests.map(([event]) => event));
    const all = [...Array(this.#sent).keys()].map((each) => `emit-${each + 1}`);
    const emitted = all.filter((event) => !asked.has(event.replace("emit", "ask"))).sort();
    assert.deepEqual(ends, emitted, "what is emitted is sent or told as failed, once");
    for (const [event, { count, value }] of this.#requests) {
      assert.equal(count, 1, "a request settles once");
      if (value) assert.equal(value, event, "the answer is that to the question");
    }
  }
}

const ROOMS = ["past", "now"];
const ADVICE = { reconnect: "yes", after: 100, spread: 900 };

/** How often what happens, of what the client, the page, the server and the network do. */
const ACTIONS = [
  [14, ({ model }) => model.rooms.past.publish()],
  [10, ({ model }) => model.rooms.now.publish()],
  [3, ({ model }) => [1, 2, 3, 4, 5, 6, 7, 8].forEach(() => model.rooms.past.publish())],
  [10, (it) => it.join(it.one(ROOMS))],
  [3, (it) => it.leave(it.one(ROOMS))],
  [8, (it) => it.emit()],
  [2, (it) => it.emit({ volatile: true })],
  [1, (it) => [...Array(60)].forEach(() => it.emit())],
  [8, (it) => it.ask()],
  [1, (_, { page }) => page.tell("offline")],
  [2, (_, { page }) => page.tell("online")],
  [2, (_, { page }) => page.tell("pagehide", { persisted: true })],
  [2, (_, { page }) => page.tell("pageshow", { persisted: true })],
  [1, (_, { clock }) => clock.sleep(60_000)],
  [4, (it) => it.withSession((session) => session.end())],
  [3, (it) => it.withSession((session) => session.bye(it.one([1012, 4008, 4010, 4012]), ADVICE))],
  [1, (it) => it.withSession((session) => session.end(it.one([1001, 1011, 4008, 4010])))],
  [
    2,
    (it) =>
      it.withSession((session) => {
        session.isMute = true;
        session.socket.answersClose = false;
      }),
  ],
  [1, (it) => it.withSession(({ socket }) => (socket.bufferedAmount = it.one([0, 2 ** 21])))],
  [2, ({ model }) => model.rooms.past.publish([...model.sessions])],
  [2, ({ model }) => model.lose(model.rooms.past)],
  [2, ({ model }) => model.lose(model.rooms.now)],
  [1, (it) => it.model.lose(it.model.rooms.past, { epoch: `e${it.random()}` })],
  [1, ({ model }) => Object.assign(model.rooms.past, { kept: [] })],
  [1, ({ model }) => (model.refusal = { code: "unavailable", message: "", retry_after: 1 })],
  [1, ({ model }) => (model.refusal = { code: "forbidden", message: "" })],
  [1, (it) => it.withSession((session) => it.model.kick(session, it.model.rooms[it.one(ROOMS)]))],
  [2, ({ model }) => (model.isDown = !model.isDown)],
];

/** How often how many milliseconds pass. */
const WAITS = [
  [6, 0],
  [6, 15],
  [4, 60],
  [4, 300],
  [3, 2000],
  [2, 12_000],
];

test(`${COUNT} schedules: nothing is missed, doubled, or left without a word`, async () => {
  for (let seed = FIRST; seed < FIRST + COUNT; seed++) {
    try {
      await new Schedule(seed).run();
    } catch (error) {
      throw new Error(`again by ARCLY_SEED=${seed} ARCLY_SCHEDULES=1`, { cause: error });
    }
  }
});
