"""What is done in a lane again and again, as long as it has connections."""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakSet

from arcly_channels.fanout.lanes import Lane


class Rounds:
    """Goes round in every lane it was started for, as long as `is_needed` says so.

    A subclass gives `_begin`, which sets the timer of the first round, and asks `_goes_on` in each.
    """

    def __init__(self, is_needed: Callable[[Lane], bool]) -> None:
        self._is_needed = is_needed
        self._running: WeakSet[Lane] = WeakSet()  # A loop may end before its timer comes.

    def start(self, lane: Lane) -> None:
        """Begin in `lane`, which has got a connection, unless that goes on already."""
        if lane.has_turns and lane not in self._running:
            self._running.add(lane)
            self._begin(lane)

    def _begin(self, lane: Lane) -> None:
        raise NotImplementedError

    def _goes_on(self, lane: Lane) -> bool:
        """Return whether this round is needed; if not, it was the last, or others have begun."""
        if self._is_needed(lane):
            return True
        self._running.discard(lane)
        if self._is_needed(lane):  # Another thread has just added one, and saw us running.
            self.start(lane)
        return False
