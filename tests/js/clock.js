// Time that passes only when it is told to, and stops wherever something is due.

const { setImmediate } = globalThis;
const LONGEST = 2 ** 31 - 1;
const MOST_TIMERS = 100_000; // in one call of `pass`; more is a loop that waits for nothing

/** Let all run that waits for nothing but its turn. */
export function settled() {
  return new Promise((resolve) => setImmediate(resolve));
}

export class Clock {
  now = 0;
  #timers = new Map();
  #last = 0;

  /** How many timers the client has set. */
  get pending() {
    return [...this.#timers.values()].filter(({ isTheirs }) => !isTheirs).length;
  }

  setTimeout = (run, wait, isTheirs = false) => {
    const id = ++this.#last;
    const taken = wait > 0 && wait <= LONGEST ? wait : 0; // As platforms do with all others.
    this.#timers.set(id, { id, run, at: this.now + taken, isTheirs });
    return id;
  };

  clearTimeout = (id) => void this.#timers.delete(id);

  /** Have something happen at the server, or on the way. */
  later(run, wait = 0) {
    this.setTimeout(run, wait, true);
  }

  /** Let time pass; each timer runs when it is due, and what it begins runs before the next. */
  async pass(ms) {
    const until = this.now + ms;
    await settled();
    for (let timer, count = 0; (timer = this.#due(until)); count++) {
      if (count > MOST_TIMERS) throw new Error("a timer is set again and again without a wait");
      this.#timers.delete(timer.id);
      this.now = Math.max(this.now, timer.at);
      timer.run();
      await settled();
    }
    this.now = until;
  }

  /** Let time pass in which nothing runs, as while a machine sleeps. */
  sleep(ms) {
    this.now += ms;
  }

  #due(until) {
    let first;
    for (const timer of this.#timers.values()) {
      if (timer.at <= until && (!first || timer.at < first.at)) first = timer;
    }
    return first;
  }
}
