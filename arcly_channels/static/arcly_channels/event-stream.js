/**
 * What a Gateway hears by where WebSockets are blocked: server-sent events, from an EventStream of
 * the server. It has the interface of a WebSocket, and says what cannot be: nothing is sent by it
 * but the names of rooms, in the URL of the stream. Importing this does nothing.
 */

const SUBPROTOCOL = "arcly.v1";

const PATIENCE = 5_000; // ms for a WebSocket to open; who swallows its packets does not say so
const ENOUGH = 3; // attempts in a row that failed where a WebSocket has opened before
const SOON = 20; // ms until rooms are asked for, together with those of which the page thinks next

/** The codes of a close for which a status of HTTP stands, whoever has answered. */
const CODES = /** @type {Record<number, number>} */ ({
  204: 1000,
  401: 4401,
  403: 4403,
  429: 4409,
  503: 4409,
});

/**
 * @typedef {{ event: string, data?: any, ref?: number, room?: string }} Frame
 * @typedef {new (url: string | URL, protocols?: string | string[]) => any} Sockets
 */

/**
 * Return a class for the option `WebSocket` of a Gateway: it opens a WebSocket, and listens to the
 * stream at `url` where none can be opened. A server that refuses one by its close code has opened
 * it. With `WebSocket: null` it always listens.
 *
 * @param {string | URL} url
 * @param {{ WebSocket?: Sockets | null, fetch?: typeof fetch }} [options]
 * @returns {Sockets}
 */
export function withEventStream(url, options = {}) {
  const known = { hasOpened: false, failures: 0, rooms: /** @type {Set<string>} */ (new Set()) };
  const address = new URL(url, globalThis.document?.baseURI ?? globalThis.location?.href);
  return class extends EventStreamSocket {
    /** @param {string | URL} url @param {string | string[]} [protocols] */
    constructor(url, protocols = []) {
      super({ url, address, known, ...options }, [protocols].flat());
    }
  };
}

/** A WebSocket, or what stands in for it. */
class EventStreamSocket {
  readyState = 0;
  protocol = "";
  /** @type {((event: any) => void) | null} */
  onopen = null;
  /** @type {((event: any) => void) | null} */
  onmessage = null;
  /** @type {((event: any) => void) | null} */
  onclose = null;
  /** @type {((event: any) => void) | null} */
  onerror = null;
  /** @type {any} The WebSocket, while there is one. */
  #socket;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  /** @type {AbortController | undefined} Of the stream that there is. */
  #stream;
  /** @type {string[]} The rooms that it was asked for. */
  #asked = [];
  /** @type {Set<string>} Those of them that it is about. */
  #joined = new Set();
  /** @type {Map<string, number | undefined>} The refs of joins that are to be answered. */
  #joins = new Map();
  /** @type {number | undefined} The ref of a new token, which is to be answered. */
  #refresh;
  #isWelcomed = false;
  /** Whether anything was heard, so that there is a gap where another stream begins. */
  #hasHeard = false;
  /** @type {string | undefined} */
  #token;
  #options;

  /**
   * @param {{ url: string | URL, address: URL, WebSocket?: Sockets | null, fetch?: typeof fetch,
   *           known: { hasOpened: boolean, failures: number, rooms: Set<string> } }} options
   * @param {string[]} protocols
   */
  constructor(options, protocols) {
    this.#options = options;
    const at = protocols.indexOf("bearer");
    this.#token = at < 0 ? undefined : protocols[at + 1];
    const { WebSocket = globalThis.WebSocket } = options;
    if (WebSocket) this.#dial(new WebSocket(options.url, protocols));
    else this.#listen();
  }

  get bufferedAmount() {
    return this.#socket?.bufferedAmount ?? 0;
  }

  /** @param {string} text */
  send(text) {
    if (this.#socket) this.#socket.send(text);
    else if (this.readyState === 1) this.#answer(JSON.parse(text));
  }

  /** @param {number} [code] @param {string} [reason] */
  close(code, reason) {
    if (this.readyState > 1) return;
    this.readyState = 2;
    if (this.#socket) this.#socket.close(code, reason);
    else this.#end(1005);
  }

  // As a WebSocket

  /** @param {any} socket */
  #dial(socket) {
    const { known } = this.#options;
    this.#socket = socket;
    this.#timer = setTimeout(() => this.#failed(socket), PATIENCE);
    socket.onopen = () => {
      clearTimeout(this.#timer);
      Object.assign(known, { hasOpened: true, failures: 0 });
      this.#open(socket.protocol);
    };
    socket.onerror = () => {}; // A close follows.
    socket.onmessage = (/** @type {any} */ event) => this.onmessage?.(event);
    socket.onclose = (/** @type {any} */ event) => {
      if (this.readyState) this.#end(event.code, event.reason);
      else this.#failed(socket);
    };
  }

  /**
   * Listen instead, but for a network that has let WebSockets through: there the server is away.
   *
   * @param {any} socket
   */
  #failed(socket) {
    const { known } = this.#options;
    clearTimeout(this.#timer);
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
    this.#socket = null;
    known.failures++;
    if (known.hasOpened && known.failures < ENOUGH) this.#end(1006);
    else this.#listen();
  }

  /** @param {string} protocol */
  #open(protocol) {
    this.readyState = 1;
    this.protocol = protocol;
    this.onopen?.({});
  }

  /** @param {number} code @param {string} [reason] */
  #end(code, reason = "") {
    if (this.readyState === 3) return;
    this.readyState = 3;
    clearTimeout(this.#timer);
    this.#stream?.abort();
    this.onclose?.({ code, reason });
  }

  // As a stream

  async #listen() {
    this.#stream?.abort();
    const stream = (this.#stream = new AbortController());
    const { address, known, fetch = globalThis.fetch } = this.#options;
    const url = new URL(address);
    this.#asked = [...known.rooms];
    this.#joined.clear();
    for (const room of this.#asked) url.searchParams.append("room", room);
    const headers = new Headers({ Accept: "text/event-stream" });
    if (this.#token) headers.set("Authorization", `Bearer ${this.#token}`);
    const { signal } = stream;
    let code = 1006;
    try {
      const response = await fetch(url, { headers, signal, cache: "no-store" });
      const kind = response.headers.get("content-type") ?? "";
      if (response.status === 200 && kind.startsWith("text/event-stream")) {
        if (!this.readyState) this.#open(SUBPROTOCOL);
        await this.#read(/** @type {ReadableStream} */ (response.body).getReader(), stream);
      } else {
        code = CODES[response.status] ?? code;
        const bye = kind.startsWith("application/json") && (await response.json());
        if (bye?.event === "gateway:bye" && !signal.aborted) this.#tell(bye); // Which ends it.
      }
    } catch {
      // There is no network, or this was aborted.
    }
    if (stream === this.#stream && !signal.aborted) this.#end(code);
  }

  /**
   * Hear events until the stream ends, or another takes its place.
   *
   * @param {ReadableStreamDefaultReader} reader
   * @param {AbortController} stream
   */
  async #read(reader, stream) {
    const decoder = new TextDecoder();
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const events = (text + decoder.decode(value, { stream: true })).split("\n\n");
      text = /** @type {string} */ (events.pop());
      for (const event of events) {
        const data = event.split("\n").filter((line) => line.startsWith("data: "));
        if (data.length) this.#hear(JSON.parse(data.map((line) => line.slice(6)).join("\n")));
        if (stream.signal.aborted) return; // By who has heard it.
      }
    }
  }

  /** @param {Frame} frame */
  #hear(frame) {
    const { event, data, ref } = frame;
    const { rooms } = this.#options.known;
    const room = event.startsWith("gateway:") ? data?.room : frame.room;
    if (event === "gateway:welcome") return this.#welcomed(frame);
    this.#hasHeard = true;
    if (ref !== undefined) return this.#answered(frame, this.#asked[ref - 1]);
    if (event === "gateway:left") rooms.delete(room);
    else if (this.#joined.has(room) && !rooms.has(room)) return; // It was left meanwhile.
    this.#tell(frame);
  }

  /**
   * Tell the answer to a room of the URL, as the one to who has asked for the room.
   *
   * @param {Frame} frame
   * @param {string} room
   */
  #answered({ event, data }, room) {
    const { rooms } = this.#options.known;
    const ref = this.#joins.get(room);
    this.#joins.delete(room);
    if (event !== "error") {
      this.#joined.add(room);
      if (rooms.has(room)) this.#tell({ event, data, ref }); // Else it was left meanwhile.
      return;
    }
    this.#asked = this.#asked.map((each) => (each === room ? "" : each)); // For the next time.
    if (!rooms.delete(room)) return;
    // Without a ref it was in it, by the stream before this one.
    const left = { event: "gateway:left", data: { room, reason: data.code } };
    this.#tell(ref === undefined ? left : { event, data, ref });
  }

  /** @param {Frame} welcome */
  #welcomed(welcome) {
    const { known } = this.#options;
    if (this.#refresh !== undefined) {
      this.#tell({ event: "auth.refreshed", data: welcome.data, ref: this.#refresh });
      this.#refresh = undefined;
    }
    if (this.#isWelcomed) {
      if (this.#hasHeard) this.#tell({ event: "gateway:gap", data: { room: null } });
      return;
    }
    this.#isWelcomed = true;
    known.rooms = new Set(); // Of the stream before it. Whoever hears the welcome asks for them.
    this.#tell(welcome);
    clearTimeout(this.#timer);
    if ([...known.rooms].some((room) => !this.#asked.includes(room))) this.#listen();
  }

  /**
   * Answer what is sent as far as that can be done here.
   *
   * @param {Frame} frame
   */
  #answer({ event, data, ref }) {
    const { rooms } = this.#options.known;
    if (event === "gateway:join") {
      rooms.add(data.room);
      if (this.#joined.has(data.room)) {
        return this.#reply({ event: "gateway:joined", data: { room: data.room }, ref });
      }
      this.#joins.set(data.room, ref);
      if (!this.#asked.includes(data.room)) this.#soon();
    } else if (event === "gateway:leave") {
      rooms.delete(data.room);
      this.#reply({ event: "gateway:left", data, ref });
    } else if (event === "gateway:ping") {
      this.#reply({ event: "gateway:reply", data: null, ref });
    } else if (event === "auth.refresh") {
      this.#token = data.token;
      this.#refresh = ref;
      this.#soon();
    } else {
      const message = `${event}: nothing can be sent where WebSockets are blocked`;
      this.#reply({ event: "error", data: { code: "unsupported", message }, ref });
    }
  }

  /** Begin another stream, a little later. */
  #soon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#listen(), SOON);
  }

  /** @param {Frame} frame */
  #reply(frame) {
    Promise.resolve().then(() => this.#tell(frame));
  }

  /** @param {Frame} frame */
  #tell(frame) {
    if (this.readyState < 2) this.onmessage?.({ data: JSON.stringify(frame) });
  }
}
