"""What is counted over all gateways of a process: places for sockets, and lines in the log."""

from __future__ import annotations

import math
import threading
import time
from typing import Any
from weakref import WeakSet

from arcly_channels.fork import ForkSafeLock, runs_again_in_children


class Places:
    """Who has a socket, from the start of the handshake until the socket is gone.

    Whoever is forgotten without giving the place back, as with an event loop that ended, leaves it.
    """

    @runs_again_in_children
    def __init__(self) -> None:
        self._holders: WeakSet[Any] = WeakSet()
        self._lock = threading.Lock()

    @property
    def taken(self) -> int:
        """How many sockets there are."""
        return len(self._holders)

    def holders(self) -> list[Any]:
        """Return who has a socket, in no order."""
        with self._lock:
            return list(self._holders)

    def take(self, holder: object, limit: int) -> bool:
        """Take a place for `holder`; return False if `limit` are taken. A limit of 0 is none."""
        with self._lock:
            is_free = not limit or len(self._holders) < limit
            if is_free:
                self._holders.add(holder)
        return is_free

    def give_back(self, holder: object) -> None:
        """Leave the place of `holder`, if it has one."""
        with self._lock:
            self._holders.discard(holder)


places = Places()
"""Those of this process, whatever the layer."""


class Repeats:
    """Lets one line per `interval` seconds through for each thing that may happen very often."""

    def __init__(self, interval: float = 1.0) -> None:
        self._interval = interval
        self._lines: dict[str, tuple[float, int]] = {}
        """When the last line was due, and how many were not since, by what they are about."""
        self._lock = ForkSafeLock()

    def due(self, about: str) -> int | None:
        """Return None for a line that comes too early, else how many were too early before it."""
        now = time.monotonic()
        with self._lock:
            last, missed = self._lines.get(about, (-math.inf, 0))
            is_due = now - last >= self._interval
            self._lines[about] = (now, 0) if is_due else (last, missed + 1)
        return missed if is_due else None
