/** The types of `event-stream.js`; what it does is in its own comments, and in the documentation. */

export interface EventStreamOptions {
  /** Another class than that of the platform; null where there is nothing but the stream. */
  readonly WebSocket?: (new (url: string | URL, protocols?: string | string[]) => any) | null;
  /** Another function than that of the platform. */
  readonly fetch?: typeof fetch;
}

/** Return what a `Gateway` takes as its option `WebSocket`. */
export function withEventStream(
  url: string | URL,
  options?: EventStreamOptions,
): new (url: string | URL, protocols?: string | string[]) => any;
