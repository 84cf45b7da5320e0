"""A purse of seconds: what senders may spend on waiting for clients."""

from __future__ import annotations


class Budget:
    """A token bucket of seconds, from which overlapping times of waiting are paid once.

    Times are seconds of a clock that never goes back. Whoever may wait calls `enter`, and `leave`
    afterwards; what was paid for time in which nobody waited is given back.
    """

    __slots__ = (
        "_capacity",
        "_credit",
        "_paid_until",
        "_regained_at",
        "_share",
        "_waited_from",
        "_waiting",
    )

    def __init__(self, capacity: float, share: float, now: float) -> None:
        self._capacity = self._credit = capacity
        self._share = share
        self._paid_until = self._waited_from = self._regained_at = now
        self._waiting = 0

    def left(self, now: float) -> float:
        """Return how long somebody may wait who starts now."""
        self._regain(now)
        return max(0.0, self._paid_until - now) + self._credit

    def enter(self, seconds: float, now: float) -> None:
        """Pay for a time of waiting that starts now, apart from what others have paid already."""
        if not self._waiting:
            self._waited_from = now
        self._waiting += 1
        until = now + seconds
        if until > self._paid_until:
            self._credit -= until - max(now, self._paid_until)
            self._paid_until = until

    def leave(self, now: float) -> None:
        """Stop to wait."""
        self._waiting -= 1
        if not self._waiting and self._paid_until > now:
            self._credit += self._paid_until - now
            self._paid_until = now

    def excuse(self, now: float, blame: float) -> None:
        """Give back what was paid for the time up to now, but for `blame` seconds of it."""
        if self._waiting:
            self._credit += max(0.0, now - self._waited_from - blame)
            self._waited_from = now

    def is_full(self, now: float) -> bool:
        """Return whether this is as good as new."""
        self._regain(now)
        return not self._waiting and self._credit >= self._capacity

    def _regain(self, now: float) -> None:
        self._credit = min(self._capacity, self._credit + (now - self._regained_at) * self._share)
        self._regained_at = now
