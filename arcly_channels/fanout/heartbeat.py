"""Asking every client for a sign of life now and then: one timer per lane, whatever their number.

The connections are split into as many parts as there are seconds between two questions to the same
client, and one part is asked in each second. Who was not heard for too long, though it was asked,
is reported when its turn comes, and so at most an interval late.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from arcly_channels.fanout.lanes import Lane
from arcly_channels.fanout.rounds import Rounds
from arcly_channels.fanout.rows import Connection

BEAT = 1.0
"""Seconds between two parts, at most."""

LATE = 1.0
"""Seconds by which a beat may be late and still judge: a loop that was blocked for longer has not
heard yet what its clients have said meanwhile."""

FEW = 64
"""How many clients are asked in one turn of the loop."""

SWITCHED_OFF_INTERVAL = 5.0
"""Seconds until the interval is asked for again, which may be 0 for now."""


class Heartbeat(Rounds):
    """Asks the clients in every lane it was started for, as long as there are some.

    `interval` and `timeout` return seconds; with 0, nobody is asked, or nobody is reported.
    `part_in` gives the connections of a lane whose id is `part` modulo `parts`, and `report` is
    called in it with those that give no sign of life.
    """

    def __init__(
        self,
        is_needed: Callable[[Lane], bool],
        interval: Callable[[], float],
        timeout: Callable[[], float],
        part_in: Callable[[Lane, int, int], list[Connection]],
        report: Callable[[Connection], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(is_needed)
        self._interval = interval
        self._timeout = timeout
        self._part_in = part_in
        self._report = report
        self._clock = clock

    def _begin(self, lane: Lane) -> None:
        self._wait(lane, 0)

    def _wait(self, lane: Lane, part: int) -> None:
        interval = self._interval()
        seconds = interval / _parts(interval) if interval else SWITCHED_OFF_INTERVAL
        lane.call_later(seconds, self._beat, lane, part, self._clock() + seconds)

    def _beat(self, lane: Lane, part: int, due: float) -> None:
        if not self._goes_on(lane):
            return
        interval, now = self._interval(), self._clock()
        if interval:
            parts = _parts(interval)
            found = self._part_in(lane, part % parts, parts)
            self._ask_some(lane, found, self._timeout() if now - due <= LATE else 0)
        self._wait(lane, part + 1)

    def _ask_some(self, lane: Lane, connections: list[Connection], timeout: float) -> None:
        """Ask some of `connections`, and the others in later turns."""
        now = self._clock()
        for connection in connections[:FEW]:
            self._ask(connection, now, timeout)
        if rest := connections[FEW:]:
            lane.call_later(0, self._ask_some, lane, rest, timeout)

    def _ask(self, connection: Connection, now: float, timeout: float) -> None:
        outbox = connection.outbox
        is_asked = outbox.ask()
        if is_asked and timeout and now - connection.last_seen > timeout:
            self._report(connection)


def _parts(interval: float) -> int:
    return max(1, math.ceil(interval / BEAT))
