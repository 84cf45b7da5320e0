"""Puts together what may be missing, so that one outage is told once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from arcly_channels.relay.contract import Gap

SETTLE = 1.0
"""Seconds after the end of a gap until it is told. The other processes come back within that time
from the same outage, and until then they keep for themselves what they send."""

LONGEST = 5.0
"""Seconds after which a gap is told although more is missing all the time: that is the next."""


class Gaps:
    """Calls `tell` with each gap. Belongs to one event loop.

    What is missing while another gap has not been told yet is part of that.
    """

    def __init__(self, tell: Callable[[Gap], None]) -> None:
        self._tell = tell
        self._open: Gap | None = None
        self._told: Gap | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        """When the gap is told at the latest, by the clock of the loop."""

    def add(self, since: float, until: float, why: str) -> None:
        """Note that messages may be missing, unless they are part of a gap that was told."""
        if self._told is not None and self._told.since <= since and until <= self._told.until:
            return
        loop, gap = asyncio.get_running_loop(), self._open
        if gap is None:
            self._due = loop.time() + LONGEST
        else:
            since, until, why = min(gap.since, since), max(gap.until, until), gap.why
        self._open = Gap(since, until, why)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(min(loop.time() + SETTLE, self._due), self._end)

    def stop(self) -> None:
        """Tell what is to be told."""
        if self._timer is not None:
            self._timer.cancel()
            self._end()

    def _end(self) -> None:
        self._timer = None
        gap, self._open = self._open, None
        if gap is not None:
            # What others have kept for themselves until now is part of it.
            until = max(gap.since, gap.until, time.time())  # The clock may have been set back.
            self._told = gap = gap._replace(until=until)
            self._tell(gap)
