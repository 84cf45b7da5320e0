"""How many connections were evicted, and what the log is told of them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

logger = logging.getLogger(__name__)

WARNING_INTERVAL = 1.0
"""Seconds between two log lines about evictions."""


class Evictions:
    """How many there were, told in the log at most once in `WARNING_INTERVAL`."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.number = 0
        self._clock = clock
        self._told = 0
        self._told_at = -WARNING_INTERVAL
        self._lock = threading.Lock()

    def add(self, who: str, why: str, extra: Mapping[str, object]) -> None:
        now = self._clock()
        with self._lock:
            self.number += 1
            if now - self._told_at < WARNING_INTERVAL:
                return
            number, untold = self.number, self.number - self._told - 1
            self._told, self._told_at = number, now
        logger.warning(
            "%s %s: evicted (%d evictions so far, %d of them since the last such line)",
            who,
            why,
            number,
            untold + 1,
            extra=extra,
        )
