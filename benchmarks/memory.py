"""The memory of a server over time."""

from __future__ import annotations

import time

from .harness import Server


class MemoryWatch:
    """Takes a sample with each call: seconds, and megabytes (10**6 bytes), since the start."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._started = time.monotonic()
        self._before = server.memory()
        self.samples: list[tuple[float, float]] = [(0.0, 0.0)]

    def __call__(self) -> None:
        grown = self._server.memory() - self._before
        self.samples.append((round(time.monotonic() - self._started, 2), round(grown / 1e6, 2)))

    def growth_mb(self) -> float:
        """The highest of all samples."""
        return max(grown for _, grown in self.samples)
