// Who listens to a room, and knows what must be heard next.

import assert from "node:assert/strict";

/** Fails where a message is missing, comes twice, or in another order, and no gap has told it. */
export class Witness {
  /** The number, and the epoch, of what was heard last. */
  #at;
  #mustHearOfGap = false;
  #isOut = false;
  /** What was wrong, as handlers may not throw. */
  #faults = [];

  constructor(room, since) {
    this.room = room;
    this.#at = since;
    this.listen();
  }

  listen() {
    for (const [event, handler] of Object.entries(this.#handlers)) this.room.on(event, handler);
  }

  #handlers = {
    joined: ({ at }) => {
      this.#expect(!this.#mustHearOfGap, "a gap was not told before the next join");
      this.#mustHearOfGap = !!this.#at && !isSame(this.#at, at);
      this.#at = at;
    },
    gap: ({ at = this.#at }) => {
      this.#mustHearOfGap = false;
      this.#at = at;
    },
    message: ({ n, epoch }) => {
      this.#expect(!this.#mustHearOfGap && !this.#isOut, `${n} came before a gap, or after left`);
      const next = { seq: this.#at.seq + 1, epoch: this.#at.epoch };
      this.#expect(isSame(next, { seq: n, epoch }), `${n} of ${epoch} instead of ${show(next)}`);
      this.#at = { seq: n, epoch };
    },
    left: () => {
      this.#isOut = true;
    },
    refused: ({ code }) => {
      this.#isOut ||= code === "forbidden"; // Others pass.
    },
  };

  /** Find that it has heard everything up to now, unless it is out. */
  conclude({ name, top, epoch }) {
    const now = { seq: top, epoch };
    this.#expect(!this.#mustHearOfGap, "a gap was not told");
    if (!this.#isOut) {
      this.#expect(this.room.isJoined, "it is not in again");
      this.#expect(isSame(this.#at, now), `it is at ${show(this.#at)} instead of ${show(now)}`);
    }
    assert.deepEqual(this.#faults, [], name);
  }

  #expect(isTrue, fault) {
    if (!isTrue) this.#faults.push(fault);
  }
}

const isSame = (a, b) => a?.seq === b?.seq && a?.epoch === b?.epoch;
const show = (at) => `${at?.seq} of ${at?.epoch}`;
