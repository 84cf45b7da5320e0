/** The types of `gateway.js`; what it does is in its own comments, and in the documentation. */

/** How far everything has come in a room with history; to be kept as it is. */
export interface Position {
  readonly seq: number;
  readonly epoch: string;
}

export type State = "idle" | "connecting" | "open" | "waiting" | "closed";

/** What a handler gets beside the data: the frame, with its room where it was sent to one. */
export interface Frame {
  readonly event: string;
  readonly room?: string;
  readonly seq?: number;
}

/** What a change of `Gateway.state` was about; `delay` is until the next attempt, in milliseconds. */
export interface StateChange {
  readonly state: State;
  readonly code?: number;
  readonly reason?: string;
  readonly delay?: number;
  /** What `token` has thrown, or the constructor of the WebSocket. */
  readonly error?: unknown;
}

export interface Welcome {
  readonly id: string;
  readonly ping: number;
  readonly pong: boolean;
  readonly spread: number;
  readonly time: number;
  readonly exp?: number;
  readonly limits: { readonly frame: number; readonly rooms: number };
}

/** What may be missing. Times are in seconds since 1970; without them it is all since the loss. */
export interface Gap {
  readonly room: string | null;
  readonly since?: number;
  readonly until?: number;
  readonly seq?: number;
  readonly epoch?: string;
}

export interface Joined {
  readonly room: string;
  readonly seq?: number;
  readonly epoch?: string;
  readonly recovered?: boolean;
  readonly replayed?: number;
}

export interface Left {
  readonly room: string;
  readonly reason?: string;
}

export interface Presence {
  readonly room: string;
  readonly count: number;
  readonly v?: number;
  readonly users?: Readonly<Record<string, unknown>>;
  readonly join?: Readonly<Record<string, unknown>>;
  readonly leave?: readonly string[];
  readonly update?: Readonly<Record<string, unknown>>;
}

/** The events that every gateway has, beside those of the application. */
export interface GatewayEvents {
  "gateway:state": StateChange;
  "gateway:welcome": Welcome;
  /** The server has put this client into a room of its own accord; see `RoomEvents` for joins. */
  "gateway:joined": Joined;
  /** The server has put it out of one. */
  "gateway:left": Left;
  "gateway:gap": Gap;
  "gateway:presence": Presence;
  error: GatewayError;
}

/** The events that every room has. An event of the application by such a name is not seen there. */
export interface RoomEvents {
  joined: Joined;
  gap: Gap;
  presence: Presence;
  left: Left;
  refused: GatewayError;
}

export interface HandlerOptions {
  /** Takes the handler back. */
  readonly signal?: AbortSignal;
  readonly once?: boolean;
}

export interface EmitOptions {
  /** Drop it where it cannot be sent at once. */
  readonly volatile?: boolean;
}

export interface RequestOptions {
  /** In milliseconds; 10 seconds unless it is said. */
  readonly timeout?: number;
  /** Gives the request up; the promise rejects with its reason. */
  readonly signal?: AbortSignal;
}

export interface JoinOptions {
  /** Up to where everything is known, say from the page as it was rendered. */
  readonly since?: Position;
  /** Whether to be told who is there, or how many. */
  readonly presence?: boolean | "count";
}

export interface GatewayOptions {
  /** Returns a token, for each attempt and before the last ends; null ends the connection. */
  readonly token?: () => string | null | Promise<string | null>;
  /** Rooms to join from the beginning. */
  readonly rooms?: readonly string[];
  /** Offer no subprotocol: for servers that know none, which browsers refuse otherwise. */
  readonly bare?: boolean;
  /** Another class than that of the platform. */
  readonly WebSocket?: new (url: string | URL, protocols?: string | string[]) => any;
}

/** A map of the names of events to the types of their data. */
export type EventMap = object;

/** A map of the names of events that a client sends to functions, of their data to the reply. */
export type CallMap = object;

type AnyCalls = Record<string, (data?: any) => any>;
type Name<Events> = keyof Events & string;
type Data<Call> = Call extends (...data: infer Args) => unknown ? Args : never;
type Reply<Call> = Call extends (...data: any[]) => infer Returned ? Returned : never;
/** The data of an event for a room, which adds its name; it may be left out if that is all. */
type RoomData<Call, Whole = Data<Call>[0], Rest = Omit<Whole, "room">> = {} extends Rest
  ? [data?: Rest]
  : [data: Rest];

export class GatewayError extends Error {
  constructor(code: string, message?: string, data?: { retry_after?: number; details?: unknown });
  /** One of the server's, or `closed`, `disconnected`, `expired`, `malformed`, `queue_full`,
   * `timeout`, `too_large`, `unsupported`. */
  readonly code: string;
  /** After how many seconds it is worth to try again, if it is. */
  readonly retryAfter?: number;
  readonly details?: unknown;
}

export class Room<
  Events extends EventMap = Record<string, any>,
  Calls extends CallMap = AnyCalls,
> {
  private constructor();
  readonly name: string;
  /** Who is there, by their keys, where `presence` was asked for. */
  readonly members: ReadonlyMap<string, any>;
  readonly count: number;
  readonly position: Position | null;
  readonly isJoined: boolean;
  on<E extends Name<Events & RoomEvents>>(
    event: E,
    fn: (data: (Events & RoomEvents)[E], frame: Frame) => unknown,
    options?: HandlerOptions,
  ): () => void;
  /** Send `data` with the name of the room as its `room`. */
  emit<E extends Name<Calls>>(
    event: E,
    ...args: [...data: RoomData<Calls[E]>, options?: EmitOptions]
  ): boolean;
  leave(): void;
  /** Stay in the room until all that were returned are called. */
  hold(): () => void;
}

export class Gateway<
  Events extends EventMap = Record<string, any>,
  Calls extends CallMap = AnyCalls,
> {
  constructor(url: string | URL, options?: GatewayOptions);
  readonly state: State;
  connect(): void;
  close(): void;
  /** Be connected until all that were returned are called. */
  hold(): () => void;
  on<E extends Name<Events & GatewayEvents>>(
    event: E,
    fn: (data: (Events & GatewayEvents)[E], frame: Frame) => unknown,
    options?: HandlerOptions,
  ): () => void;
  /** Send an event, and return whether it has left; else it waits for up to 10 seconds. */
  emit<E extends Name<Calls>>(
    event: E,
    ...args: [...data: Data<Calls[E]>, options?: EmitOptions]
  ): boolean;
  /** Send an event, and return what its handler returns. */
  request<E extends Name<Calls>>(
    event: E,
    ...args: [...data: Data<Calls[E]>, options?: RequestOptions]
  ): Promise<Reply<Calls[E]>>;
  join(room: string, options?: JoinOptions): Room<Events, Calls>;
  leave(room: string): void;
}
