"""Which groups were closed a moment ago, for clients who were still on their way in.

Closing a group reaches the connections in it. A client whose handshake is under way is in no group
yet, so it looks here once it has joined its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import NamedTuple

KEPT = 60.0
"""Seconds that a closing is remembered: longer than a handshake should take."""

MOST = 10_000
"""How many closings are remembered at a time, so that mass revocations take a few MB at most."""


class Closing(NamedTuple):
    """That a group was closed, when, and with which code and reason."""

    at: float
    code: int
    reason: str


class Closings:
    """The closings of one layer in the last minute, by group. For use in any thread."""

    def __init__(self) -> None:
        self._by_group: dict[str, Closing] = {}  # The oldest comes first.
        self._lock = threading.Lock()

    def note(self, group: str, code: int, reason: str) -> None:
        """Remember that `group` is closed now. To be called before its members are looked for."""
        now = time.monotonic()
        with self._lock:
            self._by_group.pop(group, None)
            self._by_group[group] = Closing(now, code, reason)
            while len(self._by_group) > MOST or self._oldest().at < now - KEPT:
                del self._by_group[next(iter(self._by_group))]

    def since(self, start: float, groups: Iterable[str]) -> Closing | None:
        """Return a closing of one of `groups` at or after the time `start`, if there was any."""
        found = filter(None, map(self._by_group.get, groups))
        return next((closing for closing in found if closing.at >= start), None)

    def _oldest(self) -> Closing:
        return next(iter(self._by_group.values()))
