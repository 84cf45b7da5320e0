"""What one client may send: a token bucket of events, one of bytes, and one of mistakes."""

from __future__ import annotations

import math

from arcly_channels.conf.limits import RateLimit

ROUND = 1e-6
"""Seconds that nobody is refused for: sums of floats are not exact."""


class Allowance:
    """How much of a rate limit one client has used. Times are seconds of a clock that only goes on.

    Of each bucket is kept when it will be full again, if nothing more is taken. That of bytes may
    go below its bottom, by the last that was taken from it: there is no message that never fits.
    """

    __slots__ = ("_bytes", "_errors", "_events", "_largest", "_limit")

    def __init__(self, limit: RateLimit, largest: int = 0) -> None:
        self._limit = limit
        self._largest = largest or math.inf
        self._events = self._bytes = self._errors = 0.0

    def take(self, size: int, now: float) -> float:
        """Take an event of so many bytes; return 0, or in how many seconds that can be done.

        That is never for one that is larger than any may be.
        """
        # In the way of every event that comes in: no calls. `benchmarks/rates.py`.
        limit, events, bytes_ = self._limit, self._events, self._bytes
        empty = now + limit.burst
        events = (events if events > now else now) + limit.per_event
        if bytes_ < now:
            bytes_ = now
        if size > self._largest:
            return math.inf
        if events > empty + ROUND or bytes_ >= empty:
            return max(events, bytes_) - empty + ROUND
        self._events = events
        self._bytes = bytes_ + size * limit.per_byte
        return 0.0

    def err(self, now: float) -> bool:
        """Count a mistake; return whether it is one too many."""
        self._errors = max(self._errors, now) + 1
        return 0 < self._limit.errors < self._errors - now
