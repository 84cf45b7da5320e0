"""What is due after a constant delay, found without looking at what is not, and when to look."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

MIN_INTERVAL, MAX_INTERVAL = 1.0, 30.0
"""Seconds between two sweeps by the timer."""


class Schedule(Generic[K]):
    """Keys in the order of their deadlines, which is the order in which they were set.

    `delay` is in seconds, and so are the times given to the methods, by a clock that never goes
    back. May be used from any thread.
    """

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self._deadlines: OrderedDict[K, float] = OrderedDict()
        self._lock = threading.Lock()

    def set(self, key: K, now: float) -> float:
        """Make `key` due at `now` plus the delay, whenever it was due before; return that time."""
        deadline = now + self.delay
        with self._lock:
            self._deadlines[key] = deadline
            self._deadlines.move_to_end(key)
        return deadline

    def discard(self, key: K) -> None:
        """Forget `key`."""
        with self._lock:
            self._deadlines.pop(key, None)

    def next_deadline(self) -> float:
        """Return when the first key is due; infinity when there is no key."""
        with self._lock:
            return next(iter(self._deadlines.values()), math.inf)

    def pop_due(self, now: float) -> list[K]:
        """Remove and return the keys that are due."""
        due: list[K] = []
        with self._lock:
            while self._deadlines:
                key, deadline = next(iter(self._deadlines.items()))
                if deadline > now:
                    break
                del self._deadlines[key]
                due.append(key)
        return due


class Sweeper:
    """Calls `sweep(now)` once something is due, from `run_due` or a timer of the running loop.

    `sweep` returns when the next thing will be due. The timer is for what nobody touches again.
    """

    def __init__(self, sweep: Callable[[float], float]) -> None:
        self._sweep = sweep
        self._next = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self._timer_loop: asyncio.AbstractEventLoop | None = None
        self._timer_due = math.inf

    def expect(self, deadline: float) -> None:
        """Note that something is due at `deadline`."""
        self._next = min(self._next, deadline)
        loop = self._timer_loop
        if loop is None or deadline < self._timer_due - MIN_INTERVAL or not loop.is_running():
            self._start_timer()

    def run_due(self, *, overdue: float = 0.0) -> None:
        """Sweep if something has been due for `overdue` seconds. Cheap when nothing has."""
        now = time.monotonic()
        if now >= self._next + overdue:
            self._next = math.inf
            self._next = min(self._next, self._sweep(now))

    def stop(self) -> None:
        """Stop the timer, which the next deadline starts again."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._timer_loop = None
        self._timer_due = math.inf

    def _start_timer(self) -> None:
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # A later call from a loop will start it.
        if self._timer is not None and self._timer_loop is loop:
            self._timer.cancel()
        now = time.monotonic()
        wait = min(max(self._next - now, MIN_INTERVAL), MAX_INTERVAL)
        self._timer_loop, self._timer_due = loop, now + wait
        self._timer = loop.call_later(wait, self._on_timer, loop)

    def _on_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        if loop is not self._timer_loop:
            return  # It did not run for a while, and another took over.
        self._timer = self._timer_loop = None
        self.run_due()
        if self._next < math.inf and self._timer_loop is None:
            self._start_timer()
