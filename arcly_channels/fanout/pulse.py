"""How late event loops are: one timer for each that has connections, once a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from weakref import WeakKeyDictionary

from arcly_channels.fanout.lanes import Lane
from arcly_channels.fanout.rounds import Rounds

INTERVAL = 1.0
"""Seconds between two beats."""

STALLED = 5.0
"""Seconds by which a beat is late when its loop counts as stalled."""


class Pulse(Rounds):
    """Feels the pulse of every lane it was started for, as long as `is_needed` says so."""

    def __init__(
        self, is_needed: Callable[[Lane], bool], clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(is_needed)
        self._clock = clock
        self._due: WeakKeyDictionary[Lane, float] = WeakKeyDictionary()
        """When the next beat of each lane is due. A loop may end before it comes."""

    def overdue(self) -> float:
        """Return by how many seconds the beat of some running loop is late by now, at most."""
        now, late = self._clock(), 0.0
        for found in self._due.keyrefs():  # At once: loops may come and go meanwhile.
            lane = found()
            due = None if lane is None or lane.is_dead else self._due.get(lane)
            late = late if due is None else max(late, now - due)
        return late

    def _begin(self, lane: Lane) -> None:
        self._due[lane] = self._clock() + INTERVAL
        lane.call_later(INTERVAL, self._beat, lane)

    def _beat(self, lane: Lane) -> None:
        lane.tally.delays.add(max(0.0, self._clock() - self._due.pop(lane)))
        if self._goes_on(lane):
            self._begin(lane)
