"""How handlers run that have limits, or are no coroutines; all others simply run in turn.

A *line* is what one connection has with one such event. It is made with the first of them, so that
connections which send none pay nothing.
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
import time
from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import Any

from arcly_channels.exceptions import EventRefused
from arcly_channels.gateway.database import ThreadCall
from arcly_channels.session.rate import Bucket, Rate, whole
from arcly_channels.wire import protocol

LOOK = 1.0
"""Seconds between two looks whether a client still waits for a slot."""

Late = Callable[["asyncio.Future[Any]"], None]
"""Is given the task of a handler that has ended when nobody waited for it any more."""


@dataclasses.dataclass(frozen=True)
class Terms:
    """On what terms the handler of an event runs, for each connection."""

    timeout: float | None = None
    rate: Rate | None = None
    concurrency: int = 1
    in_thread: bool = False

    @classmethod
    def of(
        cls, timeout: object, rate: object, burst: object, concurrency: object, *, where: str
    ) -> Terms:
        """Make them of what a developer wrote `where`; raise `TypeError` for what cannot be."""
        return cls(
            _seconds(timeout, f"{where}: timeout"),
            Rate.of(rate, burst, where=where),
            whole(concurrency, f"{where}: concurrency"),
        )


class TimedOut(EventRefused):
    """A handler did not end in time, or did not get to begin."""

    def __init__(self, timeout: float) -> None:
        super().__init__(protocol.TIMEOUT, f"this took longer than {timeout:g} s")
        self.timeout = timeout


class Line:
    """What runs for one event of one connection, and how many more there may be.

    A handler that goes on when it should have ended keeps its slot: so there is no number of events
    by which a client could make more of them.
    """

    __slots__ = ("_bucket", "_tasks", "_terms")

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._bucket = None if terms.rate is None else Bucket(terms.rate, time.monotonic())
        self._tasks: dict[asyncio.Future[Any], Callable[[], object]] = {}
        """What runs, and is waited for by nobody in its turn; each with what stops it."""

    @property
    def tasks(self) -> Collection[asyncio.Future[Any]]:
        """What runs beside the consumer's turns."""
        return self._tasks.keys()

    def pay(self) -> None:
        """Count an event; raise `EventRefused` for one too many."""
        wait = 0.0 if self._bucket is None else self._bucket.take(time.monotonic())
        if wait:
            raise EventRefused(protocol.RATE_LIMITED, "too many of these", retry_after=wait)

    async def wait_for_slot(self, is_vain: Callable[[], bool]) -> None:
        """Wait until there is room for a handler, or `is_vain`, which is asked now and then.

        Raises `TimedOut` if that takes too long.
        """
        limit, started = self._terms.timeout, time.monotonic()
        while self._is_full():
            left = None if limit is None else limit - (time.monotonic() - started)
            if left is not None and left <= 0:
                raise TimedOut(limit or 0)
            patience = LOOK if left is None else min(left, LOOK)
            await asyncio.wait(self._tasks, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if self._is_full() and is_vain():
                return

    def start(
        self, handling: Coroutine[Any, Any, None], fail: Callable[[BaseException], None]
    ) -> None:
        """Have an event handled beside the others; call `fail` with what it raises."""

        def on_end(task: asyncio.Future[None]) -> None:
            error = asyncio.CancelledError() if task.cancelled() else task.exception()
            if error is not None:
                fail(error)  # Which does not count where the consumer ends already.

        task = asyncio.get_running_loop().create_task(handling)
        self._keep(task, task.cancel)
        task.add_done_callback(on_end)

    async def call(self, handler: Callable[[Any], Any], data: Any, late: Late) -> Any:
        """Return what a handler returns; raise `TimedOut` for one that takes too long.

        `late` is called when one has ended that was stopped and went on.
        """
        if self._terms.timeout is None and not self._terms.in_thread:
            return await handler(data)
        task, stop = self._begin(handler, data)
        try:
            await asyncio.wait([task], timeout=self._terms.timeout)
        finally:
            if not task.done():
                self._keep(task, stop)
                task.add_done_callback(late)
                stop()
        if not task.done():
            raise TimedOut(self._terms.timeout or 0)
        try:
            return task.result()
        finally:
            del task, stop  # Else an error holds what holds the error, until garbage is collected.

    def stop(self) -> None:
        """Cancel what runs; no thread can be stopped, but what waits for one can."""
        for stop in self._tasks.values():
            stop()

    def _is_full(self) -> bool:
        return len(self._tasks) >= self._terms.concurrency

    def _keep(self, task: asyncio.Future[Any], stop: Callable[[], object]) -> None:
        self._tasks[task] = stop
        task.add_done_callback(self._tasks.pop)

    def _begin(
        self, handler: Callable[[Any], Any], data: Any
    ) -> tuple[asyncio.Future[Any], Callable[[], object]]:
        """Run a handler as a task; return that, and what stops it."""
        if self._terms.in_thread:
            call = ThreadCall(handler, data)
            return asyncio.ensure_future(call.run()), call.call_off
        task = asyncio.ensure_future(handler(data))
        return task, task.cancel


async def end(lines: Mapping[str, Line], grace: float) -> list[str]:
    """Cancel all that runs, and wait for `grace` seconds at most for it to end.

    Returns the events of what goes on nevertheless.
    """
    for line in lines.values():
        line.stop()
    deadline = time.monotonic() + grace
    while tasks := [task for line in lines.values() for task in line.tasks]:
        left = deadline - time.monotonic()
        if left <= 0:
            break
        await asyncio.wait(tasks, timeout=left)
    return [event for event, line in lines.items() if line.tasks]


def _seconds(value: object, where: str) -> float | None:
    """Return a time limit; raise `TypeError` for what is none."""
    if value is None:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf:
        return float(value)
    raise TypeError(f"{where} is a number of seconds above 0, not {value!r}")
