"""How long senders wait for a connection that lags behind a burst: a token bucket of seconds.

A client that reads gets time to catch up; one that takes nothing is given up on after `STALL`; and
no connection can hold senders up for more than `CREDIT` in a burst, or `REGAINED` of the time in
the long run.
"""

from __future__ import annotations

from arcly_channels.fanout.outbox import Outbox

STALL = 0.25
"""Seconds without taking a frame after which a pressed outbox is no longer waited for."""

CREDIT = 10.0
"""Seconds that senders wait for one connection in a burst."""

REGAINED = 0.05
"""What a connection regains of its credit in every second that passes."""


class Patience:
    """The credit of one outbox. Times are seconds of a clock that never goes back."""

    __slots__ = ("_charged_until", "_credit", "_moved_at", "_taken")

    def __init__(self, now: float) -> None:
        self._credit = CREDIT
        self._charged_until = now
        self._moved_at = now
        self._taken = 0

    def renew(self, outbox: Outbox, now: float) -> None:
        """Start to watch `outbox`, which has just become pressed."""
        self._credit = min(CREDIT, self._credit + REGAINED * (now - self._charged_until))
        self._charged_until = self._moved_at = now
        self._taken = outbox.taken

    def left(self, outbox: Outbox, now: float) -> float:
        """Return how many seconds more to wait for `outbox`; not above 0 when it is given up."""
        if outbox.taken != self._taken:
            self._taken = outbox.taken
            self._moved_at = now
        return min(self._credit, self._moved_at + STALL - now)

    def charge(self, started: float, now: float) -> None:
        """Take the time from `started` to `now`, in which a sender waited, from the credit."""
        if now > self._charged_until:
            self._credit -= now - max(started, self._charged_until)
            self._charged_until = now
