"""What a layer counts of its gateways, for metrics."""

from __future__ import annotations

import threading
from collections import Counter

from arcly_channels.close_codes import label
from arcly_channels.reasons import Limit


class Counted:
    """Counts how connections end, and what clients and handlers do wrong. For use in any thread."""

    def __init__(self) -> None:
        self.disconnects: Counter[str] = Counter()
        """How many connections of gateways have ended, by reason."""
        self.closes: Counter[str] = Counter()
        """How many connections of gateways have ended, by close code."""
        self.limits: Counter[str] = Counter()
        """How often a client went beyond a limit, by which."""
        self.handler_errors = 0
        """How many events and messages had a handler that failed."""
        self._lock = threading.Lock()

    def count_handler_error(self) -> None:
        """Count an event whose handler failed."""
        with self._lock:
            self.handler_errors += 1

    def count_disconnect(self, reason: str, code: int) -> None:
        """Count the end of a gateway's connection."""
        with self._lock:
            self.disconnects[reason] += 1
            self.closes[label(code)] += 1

    def count_limit(self, limit: Limit) -> None:
        """Count that a client went beyond a limit."""
        with self._lock:
            self.limits[limit.value] += 1
