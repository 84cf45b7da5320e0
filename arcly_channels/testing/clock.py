"""Time that a test moves."""

from __future__ import annotations

import time
from types import TracebackType

from arcly_channels.testing.waiting import turns

STEP = 0.5
"""Seconds that pass at once: fewer than by which anything may be late without being noticed."""


class Clock:
    """Lets time pass that nobody waits for, while it is used in a `with`.

    Moved are `time.monotonic` and `time.time`, and so the timers of asyncio and all clocks of this
    package: pings and idle clients, rates, timeouts of handlers, the expiry of messages and of
    claims. A loop of another thread notices when it wakes up.
    """

    def __init__(self) -> None:
        self._passed = 0.0
        self._monotonic, self._time = time.monotonic, time.time

    async def advance(self, seconds: float) -> None:
        """Do what `asyncio.sleep` does, at once: what is due meanwhile happens in its order."""
        while seconds > 0:
            self.jump(min(seconds, STEP))
            seconds -= STEP
            await turns()

    def jump(self, seconds: float) -> None:
        """Make so many seconds pass in which nothing happens: what is due is late afterwards.

        For code that is not async, and for what should come of a process that stood still. For any
        thread.
        """
        self._passed += seconds

    def __enter__(self) -> Clock:
        self._monotonic, self._time = monotonic, wall = time.monotonic, time.time
        time.monotonic = lambda: monotonic() + self._passed
        time.time = lambda: wall() + self._passed
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        time.monotonic, time.time = self._monotonic, self._time
