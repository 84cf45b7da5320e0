"""How long a consumer has taken nothing from its full channel, though it could have."""

from __future__ import annotations

STALL = 10.0
"""Seconds of that until the consumer is evicted.

Long enough for a handler that waits out a locked database (5 s by default in SQLite).
"""
LOOK = 1.0
"""Seconds between two looks."""


class Stall:
    """The seconds in which something could have been taken and was not; `now` is when it began."""

    __slots__ = ("_looked", "_seconds")

    def __init__(self, now: float) -> None:
        self._looked = now
        self._seconds = 0.0

    def end(self) -> None:
        """Start anew, as something was taken."""
        self._seconds = 0.0

    def is_over(self, now: float, at_most: float) -> bool:
        """Add the time since the last look, up to `at_most` seconds; return whether it is enough.

        A loop that was blocked between two looks gave its consumers no chance, however long it was.
        """
        self._seconds += min(now - self._looked, at_most)
        self._looked = now
        return self._seconds >= STALL
