/**
 * The browser's side of a gateway: a WebSocket of `arcly.v1` that comes back by itself.
 *
 * Nothing is lost without a word. What cannot be sent waits, for a while and within bounds, or is
 * refused; a request whose answer may be lost is rejected, and never sent again; a room that may
 * have missed something says so. Importing this does nothing.
 */

const SUBPROTOCOL = "arcly.v1";

// In milliseconds, unless something else is said.
const OPENING = 15_000; // what an attempt may take: the token, the handshake and the welcome
const STEADY = 5_000; // how long a connection has to last before the back-off begins anew
const FIRST_BACKOFF = 500;
const LONGEST_BACKOFF = 30_000;
const FIRST_SPREAD = 1_000; // over how long to come back where no welcome has said it
const GRACE = 10_000; // beyond the interval of pings, within which the server must be heard
const PROBE = 5_000; // within which it must answer when there is reason to doubt the connection
const LATE = 1_000; // what a timer that is due leaves to data that has arrived, and waits
const TIMEOUT = 10_000; // of a request, and of the queue
const QUEUE_LENGTH = 100; // messages
const QUEUE_BYTES = 256 * 1024;
const MAX_BUFFERED = 1024 * 1024; // bytes in the socket, beyond which messages wait here
const DRAIN = 100; // between two looks at the socket, while they do
const RETRY = 5; // seconds until a room is tried again where the server has not said when
const LONGEST_TIMER = 2e9; // Beyond 2 ** 31 a timer fires at once.

/** The codes below 4000 of a close after which it is of no use to come back. */
const FINAL = [1000, 1002, 1003, 1007, 1008, 1009, 1010];

/**
 * How long after a close to come back, and over how long; else what the welcome has said.
 *
 * @type {Record<number, [number, number?]>}
 */
const TIMES = {
  4008: [1000, 4000],
  4010: [0],
  4012: [0],
  4401: [0, 1000],
  4409: [5000, 10_000],
  4429: [5000, 10_000],
};

/** The errors of a join that pass by themselves. */
const PASSING = ["unavailable", "timeout"];

/** What a room tells of itself; an event of the application by such a name is not told there. */
const OWN = /^(joined|gap|presence|left|refused)$/;

/**
 * @typedef {{ reconnect: "no" | "yes" | "token", after?: number, spread?: number,
 *             code?: number }} Advice A bye, or what to do without one; that has no code.
 * @typedef {{ event: string, data?: any, ref?: number, room?: string, seq?: number }} Frame
 * @typedef {{ code: number, reason: string, advice: Advice, error?: unknown }} End
 * @typedef {{ resolve(data?: any): void, reject(error: any): void }} Asker
 * @typedef {Asker & { text: string, bytes: number, ref?: number }} Message
 * @typedef {{ seq: number, epoch: string }} Position
 * @typedef {"idle" | "connecting" | "open" | "waiting" | "closed"} State
 * @typedef {(...args: any[]) => any} Handler
 * @typedef {ReturnType<typeof connectionBy>} Connection
 */

/** What went wrong, by its `code`: one of the server's, or of those that the documentation lists. */
export class GatewayError extends Error {
  /**
   * @param {string} code
   * @param {string} [message]
   * @param {{ retry_after?: number, details?: unknown }} [data]
   */
  constructor(code, message = code, data = {}) {
    super(message);
    this.name = "GatewayError";
    this.code = code;
    /** In seconds; undefined where it is of no use to try again. */
    this.retryAfter = data.retry_after;
    this.details = data.details;
  }
}

/** Has handlers of events. One that throws is reported, and stops no other. */
class Emitter {
  /** @type {Map<string, Map<Handler, false | (() => void)>>} What to do before the only call. */
  #handlers = new Map();

  /**
   * Call `fn` with each event of a name; the same function is called once, as with an EventTarget.
   *
   * @param {string} event
   * @param {Handler} fn
   * @param {{ signal?: AbortSignal, once?: boolean }} [options]
   * @returns {() => void} Takes it back.
   */
  on(event, fn, { signal, once = false } = {}) {
    if (typeof fn !== "function") throw new TypeError(`${event}: no function`);
    const off = () => {
      this.#handlers.get(event)?.delete(fn);
      signal?.removeEventListener("abort", off);
    };
    if (signal?.aborted) return off;
    signal?.addEventListener("abort", off);
    const handlers = this.#handlers.get(event) ?? new Map();
    this.#handlers.set(event, handlers.has(fn) ? handlers : handlers.set(fn, once && off));
    return off;
  }

  /**
   * Call the handlers of an event; return whether there are any.
   *
   * @param {string} event
   * @param {...unknown} args
   */
  _fire(event, ...args) {
    const handlers = this.#handlers.get(event);
    if (!handlers?.size) return false;
    for (const [fn, once] of [...handlers]) {
      if (!handlers.has(fn)) continue; // One before it has taken it back.
      if (once) once();
      try {
        fn(...args)?.catch?.(report);
      } catch (error) {
        report(error);
      }
    }
    return true;
  }
}

/**
 * Begin an attempt to be connected, which has one end. What comes later counts no more.
 *
 * `dial` makes the socket, or null where it is of no use. `on` is told what happens.
 *
 * @param {() => Promise<WebSocket | null>} dial
 * @param {{ open(): void, frame(frame: Frame): void, end(end: End): void }} on
 */
function connectionBy(dial, on) {
  /** @type {WebSocket | null} */
  let socket;
  /** @type {Record<string, ReturnType<typeof setTimeout>>} */
  const timers = {};

  const connection = {
    isOpen: false,
    isOver: false,
    /** @type {any} What the server has said at first; null where it speaks the bare envelope. */
    welcome: null,

    /** Whether the server answers nothing. */
    get isBare() {
      return connection.isOpen && !connection.welcome;
    },

    get isWritable() {
      return connection.isOpen && socket?.readyState === 1 && socket.bufferedAmount <= MAX_BUFFERED;
    },

    /** @param {string} event @param {unknown} [data] @param {number} [ref] */
    say(event, data, ref) {
      connection.send(JSON.stringify({ event, data, ref }));
    },

    /** @param {string} text */
    send(text) {
      socket?.send(text);
    },

    /**
     * Call `then` after a while, if this lasts so long. A timer of the same name is replaced.
     *
     * @param {string} name
     * @param {number} wait
     * @param {() => void} then
     */
    after(name, wait, then) {
      clearTimeout(timers[name]);
      if (connection.isOver || wait === Infinity) return;
      timers[name] = setTimeout(then, Math.min(wait, LONGEST_TIMER));
    },

    /** Find out soon whether there is a server at the other end. */
    probe() {
      if (!connection.welcome) return;
      connection.say("gateway:ping", null, 0);
      listen(PROBE);
    },

    /**
     * End it, as of now.
     *
     * @param {number} code
     * @param {string} reason
     * @param {Advice} [advice]
     * @param {unknown} [error]
     */
    end(code, reason, advice = adviceAfter(code, connection.welcome?.spread), error) {
      if (connection.isOver) return;
      connection.isOver = true;
      connection.isOpen = false;
      Object.values(timers).forEach(clearTimeout);
      if (socket) {
        socket.onopen = socket.onmessage = socket.onclose = null;
        socket.close(); // Of no effect where it is closed.
      }
      on.end({ code, reason, advice, error });
    },
  };

  const open = () => {
    clearTimeout(timers.opening);
    connection.isOpen = true;
    on.open();
  };

  /** Expect a sign of life within a while. Any frame is one; the server pings. */
  const listen = (wait = 1000 * (connection.welcome?.ping || Infinity) + GRACE) => {
    connection.after("life", wait, () =>
      connection.after("life", LATE, () => connection.end(1006, "silence")),
    );
  };

  /** @param {Frame} frame What it is not is found out by an error. */
  const receive = (frame) => {
    if (typeof frame.event !== "string") throw new TypeError("no event");
    if (connection.isBare) {
      on.frame(frame);
    } else if (frame.event === "gateway:bye") {
      connection.end(frame.data.code, frame.data.reason, frame.data);
    } else if (frame.event === "gateway:welcome") {
      connection.welcome = frame.data;
      open();
    } else if (frame.event !== "gateway:ping") {
      on.frame(frame);
    } else if (connection.welcome?.pong) {
      connection.say("gateway:pong");
    }
  };

  const begin = async () => {
    connection.after("opening", OPENING, () => connection.end(1006, "silence"));
    try {
      socket = await dial();
      if (!socket) return connection.end(1000, "no token");
      socket.onerror = () => {}; // A close follows, which says as much.
      if (connection.isOver) return socket.close();
      socket.onopen = () => socket?.protocol !== SUBPROTOCOL && open();
      socket.onmessage = ({ data }) => {
        try {
          receive(JSON.parse(data));
        } catch (error) {
          on.frame({ event: "error", data: error }); // Not of the protocol.
        }
        listen();
      };
      socket.onclose = ({ code, reason }) => connection.end(code, reason);
    } catch (error) {
      connection.end(1006, String(error), undefined, error);
    }
  };

  begin();
  return connection;
}

/** A room that this client is in, or is to be in. Made by `Gateway.join`. */
export class Room extends Emitter {
  /** @type {Map<string, any>} */
  members = new Map();
  count = 0;
  /** @type {Position | null} Up to where everything has come, in a room with history. */
  position;
  isJoined = false;
  /** Whether messages may have been missed, and nobody was told yet. */
  #isBehind = false;
  /** @type {object | null} The join that is under way: an answer to an older one is void. */
  #join = null;
  #version = 0;
  #gateway;
  #presence;

  /**
   * @param {string} name
   * @param {Gateway} gateway
   * @param {{ since?: Position, presence?: boolean | "count" }} options
   */
  constructor(name, gateway, { since, presence }) {
    super();
    this.name = name;
    this.position = since ?? null;
    this.#gateway = gateway;
    this.#presence = presence;
    /** Stay in the room until each that was returned is called. Calling one twice is no harm. */
    this.hold = holding(() => this.leave());
  }

  /**
   * Send an event about this room: `data` with its name as `room`.
   *
   * @param {string} event
   * @param {object} [data]
   * @param {{ volatile?: boolean }} [options]
   */
  emit(event, data, options) {
    return this.#gateway.emit(event, { ...data, room: this.name }, options);
  }

  /** Leave the room, as of now. */
  leave() {
    if (this.#gateway._leave(this)) this._left({ room: this.name });
  }

  /** Ask to be let in. A room without history hears on meanwhile: nothing of it comes again. */
  _join() {
    if (this.#join) return;
    this.isJoined &&= !this.position;
    const join = (this.#join = {});
    const data = { room: this.name, since: this.position ?? undefined, presence: this.#presence };
    this.#gateway._ask("gateway:join", data, {
      resolve: (joined) => this._joined(joined, join),
      reject: (error) => join === this.#join && this.#refused(error),
    });
  }

  /** @param {GatewayError} error */
  #refused(error) {
    if (error.code === "disconnected") return; // With the next connection.
    this._lost();
    const wait = error.retryAfter ?? (PASSING.includes(error.code) ? RETRY : -1);
    if (wait < 0) this.#gateway._leave(this, true);
    else this.#gateway._retry(this, wait);
    if (!this._fire("refused", error) && wait < 0) report(error);
  }

  /**
   * Note that the server has let it in. Where it has done so by itself while a join is under way,
   * the answer to that join counts: it says where what is to come begins.
   *
   * @param {any} joined
   * @param {object | null} join
   */
  _joined(joined, join = null) {
    if (join !== this.#join) return;
    this.#join = null;
    const { seq, epoch, recovered = false } = joined;
    const known = this.position;
    const isElsewhere = known && (known.epoch !== epoch || known.seq !== seq);
    const isGap = !recovered && (this.#isBehind || isElsewhere);
    this.isJoined = true;
    this.#isBehind = false;
    this.position = epoch ? { seq, epoch } : null;
    this._fire("joined", joined);
    if (isGap && this.isJoined) this._fire("gap", { room: this.name });
  }

  /** Note that it is out, and is to come back. */
  _lost() {
    this.#isBehind ||= this.isJoined;
    this.isJoined = false;
    this.#join = null;
  }

  /** @param {any} left */
  _left(left) {
    this._lost();
    this.#isBehind = false;
    this._fire("left", left);
  }

  /** @param {any} gap */
  _missed(gap) {
    if (!this.isJoined) return; // It will be a gap when it is in again.
    const { room, seq, epoch } = gap;
    if (epoch) this.position = { seq, epoch };
    else if (!room && this.position) return; // What it misses comes again.
    this._fire("gap", gap);
  }

  /**
   * Return whether an event is the next of this room. Its handlers are called afterwards: one that
   * throws must not have it come again.
   *
   * @param {Frame} frame
   */
  _takes({ seq }) {
    if (!this.isJoined) return false;
    if (seq === undefined || !this.position) return true;
    if (seq > this.position.seq + 1) this._join(); // There is a hole.
    if (seq !== this.position.seq + 1) return false;
    this.position = { ...this.position, seq };
    return true;
  }

  /** @param {any} presence */
  _present(presence) {
    const { v, count, users, join, leave = [], update } = presence;
    if (users) this.members = new Map(); // A snapshot.
    else if (v && v !== this.#version + 1) return this._join(); // For one.
    for (const key of leave) this.members.delete(key);
    for (const [key, user] of Object.entries({ ...users, ...join, ...update })) {
      this.members.set(key, user);
    }
    this.#version = v;
    this.count = count;
    this._fire("presence", presence);
  }
}

/** A connection to a gateway of the server that is kept up until it is closed. */
export class Gateway extends Emitter {
  /** @type {State} */
  state = "idle";
  /** @type {Connection | null} */
  #connection = null;
  /** @type {Map<string, Room>} */
  #rooms = new Map();
  /** @type {Map<string, unknown>} The rooms that the server has not let go of yet. */
  #leaving = new Map();
  /** @type {Map<number, Asker>} Who waits for an answer, by its ref. */
  #asked = new Map();
  /** @type {Set<Message>} What waits for the connection; the first comes first. */
  #queue = new Set();
  #ref = 0;
  #failures = 0;
  /** Over how many milliseconds to come back: the most that was said since it last went well. */
  #spread = 0;
  /** When the last attempt began, in milliseconds. */
  #began = 0;
  #isAdvised = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {AbortController | undefined} */
  #page;
  #url;
  #options;

  /**
   * @param {string | URL} url
   * @param {{ token?: () => string | null | Promise<string | null>, rooms?: string[],
   *           bare?: boolean, WebSocket?: typeof WebSocket }} [options]
   */
  constructor(url, options = {}) {
    super();
    this.#url = addressOf(url);
    this.#options = options;
    /** Be connected until each that was returned is called. Calling one twice is no harm. */
    this.hold = holding(() => this.#stop("idle"), () => this.connect());
    options.rooms?.forEach((room) => this.join(room));
  }

  /** Connect, at once; do nothing where that is under way, or done. */
  connect() {
    if (this.#connection) return;
    this.#failures = 0;
    this.#watchPage();
    this.#attempt();
  }

  /** Close the connection, and do not come back. What waits is rejected as `closed`. */
  close() {
    this.#stop("closed");
  }

  /**
   * Send an event. Returns whether it is on its way; if not, it waits for up to ten seconds, and is
   * told to the handlers of `error` as `expired` then. A `volatile` one is dropped instead.
   *
   * @param {string} event
   * @param {unknown} [data]
   * @param {{ volatile?: boolean }} [options]
   */
  emit(event, data, { volatile } = {}) {
    const reject = (/** @type {GatewayError} */ error) => this.#fail(error, event);
    return this.#send(event, data, { resolve() {}, reject }, { volatile });
  }

  /**
   * Send an event, and return what its handler returns.
   *
   * @param {string} event
   * @param {unknown} [data]
   * @param {{ timeout?: number, signal?: AbortSignal }} [options]
   * @returns {Promise<any>}
   */
  request(event, data, { timeout, signal } = {}) {
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      this.#send(event, data, { resolve, reject }, { ref: ++this.#ref, timeout, signal });
    });
  }

  /**
   * Be in a room, also after each return of the connection, until it is left.
   *
   * @param {string} name
   * @param {{ since?: Position, presence?: boolean | "count" }} [options]
   * @returns {Room}
   */
  join(name, options = {}) {
    let room = this.#rooms.get(name);
    if (!room) {
      room = new Room(name, this, options);
      this.#rooms.set(name, room);
      if (this.state === "open") room._join();
    }
    return room;
  }

  /** @param {string} name */
  leave(name) {
    this.#rooms.get(name)?.leave();
  }

  // For rooms

  /**
   * Have a room be none of ours any more; return whether it was one.
   *
   * @param {Room} room
   * @param {boolean} [isOut] Whether the server knows.
   */
  _leave(room, isOut = !this.#connection?.isOpen) {
    const { name } = room;
    if (this.#rooms.get(name) !== room) return false;
    this.#rooms.delete(name);
    if (!isOut) {
      const done = () => this.#leaving.get(name) === done && this.#leaving.delete(name);
      this.#leaving.set(name, done);
      this._ask("gateway:leave", { room: name }, { resolve: done, reject: done });
    }
    return true;
  }

  /**
   * Ask for a room again after so many seconds, and some more, if it is still wanted then.
   *
   * @param {Room} room
   * @param {number} wait
   */
  _retry(room, wait) {
    this.#connection?.after(`room ${room.name}`, 1000 * wait * (1 + Math.random()), () => {
      if (this.#rooms.get(room.name) === room) room._join();
    });
  }

  /**
   * Ask the server something on behalf of the protocol: it does not wait for others.
   *
   * @param {string} event
   * @param {unknown} data
   * @param {Asker} asker
   */
  _ask(event, data, asker) {
    const connection = this.#connection;
    if (connection?.isBare) return asker.reject(unsupported());
    if (!connection?.isOpen) return;
    const ref = ++this.#ref;
    this.#expect(asker, { ref });
    connection.say(event, data, ref);
  }

  // Sending

  /**
   * Have an asker settled once: by an answer, by time, by its signal, or by the end.
   *
   * @param {Asker} asker
   * @param {{ ref?: number, timeout?: number, signal?: AbortSignal }} options
   */
  #expect(asker, { ref = 0, timeout = TIMEOUT, signal }) {
    let isSettled = false;
    /** @param {(value: any) => void} settle */
    const once = (settle) => (/** @type {any} */ value) => {
      if (isSettled) return;
      isSettled = true;
      this.#asked.delete(ref);
      this.#queue.delete(/** @type {Message} */ (asker));
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      settle(value);
    };
    const abort = () => asker.reject(signal?.reason);
    const timer = setTimeout(() => {
      const code = this.#queue.has(/** @type {Message} */ (asker)) ? "expired" : "timeout";
      asker.reject(new GatewayError(code));
    }, Math.min(timeout, LONGEST_TIMER));
    asker.resolve = once(asker.resolve);
    asker.reject = once(asker.reject);
    signal?.addEventListener("abort", abort);
    if (ref) this.#asked.set(ref, asker);
  }

  /**
   * Send an event, or have it wait; return whether it was sent.
   *
   * @param {string} event
   * @param {unknown} data
   * @param {Asker} asker
   * @param {{ ref?: number, timeout?: number, signal?: AbortSignal, volatile?: boolean }} options
   */
  #send(event, data, asker, options) {
    if (this.state === "closed") throw new GatewayError("closed");
    if (/function|symbol/.test(typeof data)) throw new TypeError(`${event}: no JSON`);
    const text = JSON.stringify({ event, data, ref: options.ref });
    const bytes = new TextEncoder().encode(text).length;
    const connection = this.#connection;
    const message = Object.assign(asker, { text, bytes, ref: options.ref });
    const error = this.#refusal(message);
    if (error) throw error;
    if (this.#queue.size || !connection?.isWritable) {
      if (options.volatile) return false;
      let waiting = bytes;
      for (const each of this.#queue) waiting += each.bytes;
      if (this.#queue.size >= QUEUE_LENGTH || waiting > QUEUE_BYTES) {
        throw new GatewayError("queue_full");
      }
    }
    this.#expect(message, options);
    this.#queue.add(message);
    this.#drain();
    return !this.#queue.has(message);
  }

  /**
   * Return why the server that there is does not take a message, if it does not.
   *
   * @param {Message} message
   */
  #refusal({ bytes, ref }) {
    const { isBare, welcome } = this.#connection ?? {};
    const limit = welcome?.limits?.frame;
    if (isBare && ref) return unsupported();
    return bytes > limit && new GatewayError("too_large", `limit: ${limit} bytes`);
  }

  /** Send what waits, as far as the socket takes it, and look again later. */
  #drain() {
    const connection = this.#connection;
    for (const message of this.#queue) {
      if (!connection?.isWritable) break;
      this.#queue.delete(message);
      const error = this.#refusal(message); // It was not known when it began to wait.
      if (error) {
        message.reject(error);
        continue;
      }
      connection.send(message.text);
      if (!message.ref) message.resolve(); // Nothing answers it.
    }
    if (this.#queue.size) connection?.after("drain", DRAIN, () => this.#drain());
  }

  /**
   * @param {GatewayError} error
   * @param {string} event
   */
  #fail(error, event) {
    if (!this._fire("error", error, { event })) report(error);
  }

  // Receiving

  /** @param {Frame} frame */
  #take(frame) {
    const { event, data, ref, room: name } = frame;
    if (ref !== undefined) {
      const asker = this.#asked.get(ref);
      return event === "error" ? asker?.reject(errorOf(data)) : asker?.resolve(data);
    }
    const room = this.#rooms.get(name ?? data?.room);
    if (event === "gateway:joined") room?._joined(data);
    else if (event === "gateway:presence") room?._present(data);
    else if (event === "gateway:gap") {
      for (const each of data.room ? [room] : this.#rooms.values()) each?._missed(data);
    } else if (event === "gateway:left" && room) {
      this._leave(room, true);
      room._left(data);
    } else if (event === "error") {
      return this.#fail(errorOf(data), event);
    } else if (name !== undefined) {
      if (room ? !room._takes(frame) : this.#leaving.has(name)) return;
      if (!OWN.test(event)) room?._fire(event, data, frame);
    }
    this._fire(event, data, frame);
  }

  // Connecting

  #attempt() {
    clearTimeout(this.#timer);
    this.#began = Date.now();
    const { token: tokenOf, bare, WebSocket = globalThis.WebSocket } = this.#options;
    const dial = async () => {
      const offered = bare ? [] : [SUBPROTOCOL];
      if (tokenOf) {
        const token = await tokenOf();
        if (!token || connection.isOver) return null;
        offered.push("bearer", token);
      }
      return new WebSocket(this.#url, offered);
    };
    const connection = connectionBy(dial, {
      open: () => this.#opened(connection),
      frame: (frame) => this.#take(frame),
      end: (end) => connection === this.#connection && this.#ended(end),
    });
    this.#connection = connection;
    this.#become("connecting");
  }

  /** @param {Connection} connection */
  #opened(connection) {
    connection.after("steady", STEADY, () => (this.#failures = 0));
    this.#renewAfter(lifeOf(connection.welcome), connection);
    for (const room of [...this.#rooms.values()]) room._join(); // First: what waits may be for them.
    if (connection.isOver) return; // A room was refused, and its handler has closed all.
    this.#become("open");
    this.#drain();
    if (connection.welcome) this._fire("gateway:welcome", connection.welcome);
  }

  /**
   * Send a new token when most of the life of the last has passed, if it ends at all.
   *
   * @param {number} wait In seconds.
   * @param {Connection} connection
   */
  #renewAfter(wait, connection) {
    if (!(wait > 0 && this.#options.token)) return;
    connection.after("renewal", 1000 * Math.max(wait, 1), async () => {
      const again = () => this.#renewAfter(wait / 5, connection);
      try {
        const token = await this.#options.token?.();
        if (!token || connection.isOver) return; // The server says when it is over.
        const resolve = (/** @type {any} */ data) => this.#renewAfter(lifeOf(data), connection);
        this._ask("auth.refresh", { token }, { resolve, reject: again });
      } catch {
        again();
      }
    });
  }

  /** @param {End} end */
  #ended({ code, reason, advice, error }) {
    this.#drop();
    const { reconnect, after = 0, spread } = advice;
    if (reconnect === "no" || (reconnect === "token" && !this.#options.token)) {
      return this.#stop("closed", { code, reason, error });
    }
    this.#spread = Math.max(spread ?? FIRST_SPREAD, this.#failures && this.#spread);
    // All were sent away at once. Who finds no server keeps its place among them for the next
    // attempt, however long this one took: one spread after the server is there again, all are.
    const isVain = this.#failures && spread === undefined;
    const share = isVain
      ? Math.min(this.#spread, this.#spread - Date.now() + this.#began) // A clock may be set back.
      : this.#spread * Math.random();
    const backoff = Math.min(FIRST_BACKOFF * 2 ** this.#failures, LONGEST_BACKOFF);
    const delay = Math.max(after + share, this.#failures++ && jittered(backoff));
    this.#isAdvised = code >= 4000 || !!advice.code; // It is a bye.
    // What is no time, or too long for a timer, must not be none.
    this.#timer = setTimeout(() => this.#attempt(), delay < LONGEST_TIMER ? delay : LONGEST_BACKOFF);
    this.#become("waiting", { code, reason, delay, error });
  }

  /** Have nothing more to do with the connection that there is. */
  #drop() {
    const connection = this.#connection;
    this.#connection = null; // First: its end is nobody's loss.
    connection?.end(1000, "");
    this.#leaving.clear();
    const lost = new GatewayError("disconnected");
    for (const asker of [...this.#asked.values()]) {
      if (!this.#queue.has(/** @type {Message} */ (asker))) asker.reject(lost);
    }
    for (const room of this.#rooms.values()) room._lost();
  }

  /**
   * @param {"idle" | "closed"} state
   * @param {object} [why]
   */
  #stop(state, why) {
    const waiting = [...this.#queue];
    clearTimeout(this.#timer);
    this.#page?.abort();
    this.#drop();
    this.#become(state, why);
    for (const message of waiting) message.reject(new GatewayError("closed"));
  }

  /**
   * @param {State} state
   * @param {object} [more]
   */
  #become(state, more) {
    if (this.state === state) return;
    this.state = state;
    this._fire("gateway:state", { state, ...more });
  }

  // The page

  #watchPage() {
    this.#page?.abort();
    const { signal } = (this.#page = new AbortController());
    const { document } = globalThis;
    const probe = () => this.#connection?.probe();
    const wake = () => {
      if (this.#connection) probe();
      else if (!this.#isAdvised) this.#attempt();
    };
    // A page that has a connection may not be kept for who comes back to it. One that waits may:
    // its timers stand still, and what a bye has advised holds.
    const sleep = () => {
      if (!this.#connection) return;
      this.#drop();
      this.#isAdvised = false;
      this.#become("waiting");
    };
    /**
     * @param {EventTarget | undefined} target
     * @param {string} types
     * @param {(event: any) => void} listener
     */
    const on = (target, types, listener) => {
      for (const type of types.split(" ")) target?.addEventListener?.(type, listener, { signal });
    };
    on(globalThis, "online pageshow", wake);
    on(globalThis, "offline", probe);
    on(globalThis, "pagehide", (event) => event.persisted && sleep());
    on(document, "resume visibilitychange", () => document.hidden || wake());
  }
}

/**
 * Return a function that begins something when it is first held, and ends it a turn after the last
 * has let go: who lets go to hold it again, as React does to find mistakes, changes nothing.
 *
 * @param {() => void} end
 * @param {() => void} [begin]
 */
function holding(end, begin) {
  let holders = 0;
  return () => {
    if (!holders++) begin?.();
    let isHeld = true;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      if (!--holders) setTimeout(() => holders || end());
    };
  };
}

/**
 * Return what a client does after a close of which no bye has told.
 *
 * @param {number} code
 * @param {number} [own]
 * @returns {Advice}
 */
function adviceAfter(code, own) {
  const [after, spread = own] = TIMES[code] ?? [0];
  const isOver = code < 4000 ? FINAL.includes(code) : !TIMES[code];
  return { reconnect: isOver ? "no" : code === 4401 ? "token" : "yes", after, spread };
}

/** @param {string | URL} url */
function addressOf(url) {
  const address = new URL(url, globalThis.document?.baseURI ?? globalThis.location?.href);
  address.protocol = address.protocol.replace(/^http/, "ws");
  if (!/^wss?:$/.test(address.protocol)) throw new TypeError(`${url} is no gateway`);
  address.hash = "";
  return address;
}

/**
 * Return how many seconds pass until a token is to be renewed.
 *
 * @param {any} data What the server has said of it.
 */
function lifeOf(data) {
  return 0.8 * (data?.exp - data?.time);
}

/** @param {any} data */
function errorOf(data) {
  return new GatewayError(data.code ?? "malformed", data.message, data);
}

function unsupported() {
  return new GatewayError("unsupported", "no arcly.v1");
}

/**
 * Return between half of a time and all of it.
 *
 * @param {number} time
 */
function jittered(time) {
  return (time * (1 + Math.random())) / 2;
}

/** @param {unknown} error */
function report(error) {
  (globalThis.reportError ?? console.error)(error);
}
