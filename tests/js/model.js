// A server that keeps what arcly.v1 promises, on a network that keeps nothing.

import { WELCOME } from "./server.js";

const PING = 10; // seconds
const SLOWEST = 40; // ms that a frame may take
const KEPT = 6; // messages of a room with history

/** A room; with an `epoch` it has a history. Its messages are numbered from one. */
class ModelRoom {
  members = new Set();
  top = 0;
  /** The numbers that can be replayed. */
  kept = [];

  constructor(name, epoch) {
    this.name = name;
    this.epoch = epoch;
  }

  frame(n) {
    const { name, epoch } = this;
    return { event: "message", data: { n, epoch }, room: name, seq: epoch && n };
  }

  /** Publish a message; the members in `without` miss it. */
  publish(without = []) {
    this.kept = [...this.kept, ++this.top].slice(-KEPT);
    for (const session of this.members) {
      if (!without.includes(session)) session.put(this.frame(this.top));
    }
  }

  /** What a member is told that joins; `at` is for the one who checks, with or without history. */
  joined(since) {
    const { name, epoch, top } = this;
    if (!epoch) return [{ room: name, at: { seq: top } }, []];
    const replay = this.kept.filter((n) => n > since?.seq);
    const isKept = since?.epoch === epoch && replay.length === top - since.seq;
    const seq = isKept ? since.seq : top;
    const joined = { room: name, seq, epoch, recovered: isKept, at: { seq, epoch } };
    return [joined, isKept ? replay : []];
  }
}

/** A connection, as the server sees it. */
class Session {
  isOver = false;
  /** Whether the network swallows everything. */
  isMute = false;
  #freeAt = {};

  constructor(model, socket) {
    this.model = model;
    this.socket = socket;
    this.clock = model.clock;
    socket.onsent = (frame) => this.#travel("up", () => this.model.take(this, frame));
    socket.accept();
    this.put({ event: "gateway:welcome", data: { ...WELCOME, ping: PING, spread: 500 } });
    this.#ping();
  }

  /** Send a frame; frames overtake each other in neither direction. */
  put(frame) {
    const text = JSON.stringify(frame);
    this.#travel("down", () => this.socket.raw(text));
  }

  /** Do something after a while, but not before what was to be done under the same name. */
  queue(name, longest, run) {
    const { now } = this.clock;
    const at = Math.max(this.#freeAt[name] ?? 0, now + Math.floor(this.model.random() * longest));
    this.#freeAt[name] = at;
    this.clock.later(() => this.isOver || run(), at - now);
  }

  end(code) {
    this.isOver = true;
    for (const room of this.model.all) room.members.delete(this);
    this.model.sessions.delete(this);
    this.socket.end(code);
  }

  /** Say goodbye, and end when that has arrived. */
  bye(code, advice) {
    for (const room of this.model.all) room.members.delete(this);
    this.put({ event: "gateway:bye", data: { code, reason: "", ...advice } });
    this.#travel("down", () => this.end(code));
  }

  #travel(way, run) {
    if (!this.isMute) this.queue(way, SLOWEST, run);
  }

  #ping() {
    if (this.isOver) return;
    this.put({ event: "gateway:ping", data: null });
    this.clock.later(() => this.#ping(), 1000 * PING);
  }
}

export class Model {
  sessions = new Set();
  rooms = { past: new ModelRoom("past", "e1"), now: new ModelRoom("now") };
  isDown = false;
  /** The error of the next join. */
  refusal = null;
  /** The names of the events that have come, in their order. */
  received = [];

  constructor(clock, random) {
    this.clock = clock;
    this.random = random;
  }

  get all() {
    return Object.values(this.rooms);
  }

  /** Meet a new socket. */
  meet(socket) {
    if (this.isDown) return socket.end();
    this.sessions.add(new Session(this, socket));
  }

  take(session, { event, data, ref }) {
    if (event === "gateway:join" || event === "gateway:leave") {
      // Rooms are handled beside each other; what concerns one room in its order.
      session.queue(`room ${data.room}`, 200, () => this.#admit(session, event, data, ref));
    } else if (event === "gateway:ping") {
      session.put({ event: "gateway:reply", data: null, ref });
    } else if (event !== "gateway:pong") {
      this.received.push(event);
      if (ref !== undefined) this.#answer(session, event, ref);
    }
  }

  /** Answer a request: handlers run beside each other, fail, or never end. */
  #answer(session, event, ref) {
    const fate = this.random();
    if (fate > 0.95) return;
    const error = { event: "error", data: { code: "internal", message: "" }, ref };
    const answer = fate < 0.2 ? error : { event: "gateway:reply", data: event, ref };
    session.queue(`request ${ref}`, 300, () => session.put(answer));
  }

  #admit(session, event, { room: name, since }, ref) {
    const room = this.rooms[name];
    if (event === "gateway:leave") {
      room.members.delete(session);
      return session.put({ event: "gateway:left", data: { room: name }, ref });
    }
    const error = this.refusal;
    this.refusal = null;
    if (error) return session.put({ event: "error", data: error, ref });
    room.members.add(session);
    const [joined, replay] = room.joined(since);
    session.put({ event: "gateway:joined", data: joined, ref });
    for (const n of replay) session.put(room.frame(n));
  }

  // What goes wrong

  /** Lose messages of a room before they reach anybody, and say so. */
  lose(room, { epoch = room.epoch } = {}) {
    Object.assign(room, { top: epoch === room.epoch ? room.top + 2 : 1, kept: [], epoch });
    const { name, top: seq } = room;
    const at = { seq, epoch };
    const gap = epoch ? { room: name, seq, epoch, at } : { room: null, at };
    for (const session of epoch ? room.members : this.sessions) {
      session.put({ event: "gateway:gap", data: gap });
    }
  }

  /** Take a member out of a room. */
  kick(session, room) {
    room.members.delete(session);
    session.put({ event: "gateway:left", data: { room: room.name, reason: "kicked" } });
  }
}
