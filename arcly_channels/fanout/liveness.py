"""Finding the clients that take nothing of what waits for them: one timer per lane.

There is nothing to do per frame for it. Now and then the outboxes of a lane are looked at, and who
had something to take and took nothing between two looks, for as long as the timeout, is reported.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from arcly_channels.fanout.lanes import Lane
from arcly_channels.fanout.outbox import Outbox
from arcly_channels.fanout.rounds import Rounds

LOOKS = 6
"""How often a client is looked at within the timeout: who stalls may stay by a sixth longer."""

LONGEST_INTERVAL = 5.0
"""Seconds between two looks, at most, and while the timeout is 0, which may change."""

FEW = 256
"""How many outboxes are looked at in one turn of the loop."""


class _Seen(NamedTuple):
    progress: int
    unread: int
    since: float


class Liveness(Rounds):
    """Looks at the outboxes of every lane it was started for, as long as there are some.

    `timeout` returns seconds, 0 for no limit; `outboxes_in` gives the outboxes of a lane, and
    `report` is called with those that stall, in their lane.
    """

    def __init__(
        self,
        is_needed: Callable[[Lane], bool],
        timeout: Callable[[], float],
        outboxes_in: Callable[[Lane], list[Outbox]],
        report: Callable[[Outbox], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(is_needed)
        self._timeout = timeout
        self._outboxes_in = outboxes_in
        self._report = report
        self._clock = clock

    def _begin(self, lane: Lane) -> None:
        lane.call_later(self._interval(), self._look_round, lane, {})

    def _interval(self) -> float:
        timeout = self._timeout()
        return min(timeout / LOOKS, LONGEST_INTERVAL) if timeout else LONGEST_INTERVAL

    def _look_round(self, lane: Lane, seen: dict[Outbox, _Seen]) -> None:
        if self._goes_on(lane):
            self._look(lane, self._outboxes_in(lane), seen, {})

    def _look(
        self,
        lane: Lane,
        outboxes: list[Outbox],
        before: dict[Outbox, _Seen],
        seen: dict[Outbox, _Seen],
    ) -> None:
        """Look at some of `outboxes`, and at the others in later turns."""
        now, timeout = self._clock(), self._timeout()
        for outbox in outboxes[:FEW]:
            unread = outbox.unread() or 0
            if not outbox.frames and not unread:
                continue
            progress, then = _progress(outbox), before.get(outbox)
            if then is None or progress != then.progress or unread < then.unread:
                seen[outbox] = _Seen(progress, unread, now)
            elif timeout and now - then.since >= timeout:
                self._report(outbox)
            else:
                seen[outbox] = then._replace(unread=unread)
        rest = outboxes[FEW:]
        if rest:
            lane.call_later(0, self._look, lane, rest, before, seen)
        else:
            lane.call_later(self._interval(), self._look_round, lane, seen)


def _progress(outbox: Outbox) -> int:
    """Return a number that changes when the client takes something.

    Frames that are taken out of an outbox are only a guess: as long as few come, the kernel has
    room for those of a client that has stopped.
    """
    acknowledged = outbox.acknowledged()
    return outbox.taken if acknowledged is None else acknowledged
