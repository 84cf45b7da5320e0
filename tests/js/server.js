// A server that does as it is told, seen through a WebSocket class as browsers have it.

export const WELCOME = {
  id: "a-1",
  ping: 20,
  pong: true,
  spread: 2000,
  time: 1000,
  limits: { frame: 65_536, rooms: 100 },
};

/** One socket: the methods of a WebSocket, and those by which the server at its end acts. */
export class FakeSocket {
  readyState = 0;
  bufferedAmount = 0;
  protocol = "";
  onopen = null;
  onmessage = null;
  onclose = null;
  onerror = null;
  /** Whether the server answers the close of the client; if not, the socket is half-closed. */
  answersClose = true;
  /** The frames that the client has sent. */
  sent = [];

  constructor(url, protocols, clock) {
    this.url = String(url);
    this.protocols = protocols;
    this.clock = clock;
  }

  send(text) {
    if (this.readyState === 0) throw new DOMException("still connecting", "InvalidStateError");
    if (this.readyState > 1) return; // As the standard has it: without a word.
    const frame = JSON.parse(text);
    this.sent.push(frame);
    this.onsent?.(frame);
  }

  close() {
    if (this.readyState > 1) return;
    if (this.readyState === 0) this.#fail(); // As Node's `ws` does.
    this.readyState = 2;
    if (this.answersClose) this.clock.later(() => this.end(1005));
  }

  #fail() {
    if (!this.onerror) throw new Error("nobody listens to the error of a socket");
    this.onerror({});
  }

  // What the server does

  get token() {
    const at = this.protocols.indexOf("bearer");
    return at < 0 ? null : this.protocols[at + 1];
  }

  accept(protocol = this.protocols[0] ?? "") {
    if (this.readyState > 0) return this;
    this.readyState = 1;
    this.protocol = protocol;
    this.onopen?.({});
    return this;
  }

  raw(data) {
    if (this.readyState === 1 || this.readyState === 2) this.onmessage?.({ data });
    return this;
  }

  say(event, data, more) {
    return this.raw(JSON.stringify({ event, data, ...more }));
  }

  welcome(more) {
    return this.say("gateway:welcome", { ...WELCOME, ...more });
  }

  bye(code, advice) {
    this.say("gateway:bye", { code, reason: "as it is told", ...advice });
    return this.end(code);
  }

  /** End it without a handshake, or with the code of one; 1006 is none. */
  end(code = 1006, reason = "") {
    if (this.readyState === 3) return this;
    this.readyState = 3;
    this.onclose?.({ code, reason });
    return this;
  }

  /** The frames of an event that the client has sent. */
  all(event) {
    return this.sent.filter((frame) => frame.event === event);
  }

  last(event) {
    return this.all(event).at(-1);
  }

  reply(event, data, { as = "gateway:reply", ref = this.last(event).ref } = {}) {
    return this.say(as, data, { ref });
  }

  refuse(event, error) {
    return this.reply(event, { message: "no", ...error }, { as: "error" });
  }

  /** Answer the last join of a room. */
  joined(room, more) {
    const { ref } = this.all("gateway:join").findLast(({ data }) => data.room === room);
    return this.reply("gateway:join", { room, ...more }, { as: "gateway:joined", ref });
  }
}

export class FakeServer {
  /** All that were ever opened, the last one last. */
  sockets = [];
  /** What happens to a new one, a turn later. */
  manner = (socket) => socket.accept().welcome();

  constructor(clock) {
    const meet = (socket) => {
      this.sockets.push(socket);
      clock.later(() => this.manner(socket));
    };
    this.WebSocket = class extends FakeSocket {
      constructor(url, protocols) {
        super(url, protocols, clock);
        meet(this);
      }
    };
  }

  get socket() {
    return this.sockets.at(-1);
  }
}
