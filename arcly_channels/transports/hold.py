"""How a server that is told to end is kept waiting until its connections are drained.

uvicorn, hypercorn and granian tell an application that they end when its connections are gone, or
not at all: their lifespan comes too late. So this stands between the server and the signal; its own
handler gets it once the drain is over, and does what it would have done.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import signal
import socket
import sys
import threading
import time
from concurrent import futures
from contextlib import suppress
from functools import lru_cache
from types import FrameType
from typing import Any
from weakref import WeakSet

from arcly_channels.conf.settings import get_settings
from arcly_channels.transports.base import Ending, Send

SAME = 1.0
"""Seconds in which two signals are one: a supervisor signals all of a group of processes, and the
parent among them, as granian's, passes on what it got."""

_held: WeakSet[asyncio.AbstractEventLoop] = WeakSet()
_holds: list[_Hold] = []  # For good: the system writes to their sockets, whatever became of a loop.


def hold_server(drain: Ending, send: Send) -> None:
    """Have the server that serves the running loop, with this `send`, wait for `drain` at its end.

    Does nothing for a loop whose server waits already, nor where nobody handles SIGTERM: in a test.
    """
    loop = asyncio.get_running_loop()
    if loop in _held:
        return
    _held.add(loop)
    is_hypercorn = _hold_hypercorn(drain, send)
    if threading.current_thread() is not threading.main_thread():
        _drain_at_exit(drain)
    elif sys.platform != "win32" and (is_hypercorn or _is_handled(signal.SIGTERM)):
        signals = [signal.SIGTERM, *filter(_is_handled, [signal.SIGINT])]
        _holds.append(_Hold(loop, drain, signals))


def _is_handled(number: signal.Signals) -> bool:
    handler = signal.getsignal(number)
    return callable(handler) and handler is not signal.default_int_handler


class _Hold:
    """Stands before a server's handlers for the signals that end it.

    A second signal, more than `SAME` later, is from somebody who does not want to wait: the server
    gets both at once. Whether its handler is Python's or the loop's own does not matter: what a
    loop reads its signals from is put back before they are raised again.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, drain: Ending, signals: list[signal.Signals]
    ) -> None:
        self._loop = loop
        self._drain = drain
        self._held: list[int] = []
        self._since = 0.0
        self._is_over = False
        self._task: asyncio.Task[None] | None = None
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._descriptor = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._handlers = {each: signal.signal(each, self._on_signal) for each in signals}
        loop.add_reader(self._reader, self._on_wakeup)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """Hold a signal. Runs in the main thread, between any two lines of Python."""
        self._held.append(number)
        if self._loop.is_running():
            self._loop.call_soon_threadsafe(self._take_note, time.monotonic())
        else:
            self._let_go()

    def _on_wakeup(self) -> None:
        """Pass on to the loop what woke it, but for the signals that are held."""
        others = bytes(each for each in self._reader.recv(4096) if each not in self._handlers)
        if others and self._descriptor >= 0:
            with suppress(OSError):  # It is full, and the loop about to wake up.
                os.write(self._descriptor, others)

    def _take_note(self, at: float) -> None:
        """Begin to drain at the first signal; `at` is when it came, maybe while busy."""
        if self._task is None:
            self._since = at
            self._task = self._loop.create_task(self._end())
        elif at - self._since > SAME:
            self._let_go()

    async def _end(self) -> None:
        try:
            await self._drain()
        finally:
            self._let_go()

    def _let_go(self) -> None:
        if self._is_over:
            return
        self._is_over = True
        with suppress(BlockingIOError):
            self._on_wakeup()  # What came last is for the loop, too.
        if not self._loop.is_closed():
            self._loop.remove_reader(self._reader)
        signal.set_wakeup_fd(self._descriptor)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._reader.close()
        self._writer.close()
        for held in self._held:
            signal.raise_signal(held)


def _hold_hypercorn(drain: Ending, send: Send) -> bool:
    """Have hypercorn's worker wait, whom its parent tells to end without a signal.

    Returns whether this is one. A signal, to all of a group of processes, would kill it at once.
    """
    context = getattr(getattr(send, "__self__", None), "context", None)
    terminated: Any = getattr(context, "terminated", None)
    end = getattr(terminated, "set", None)
    if not asyncio.iscoroutinefunction(end):
        return False

    async def end_after_drain() -> None:
        try:
            await drain()
        finally:
            await end()

    terminated.set = end_after_drain
    return True


@lru_cache(maxsize=1)
def _drain_at_exit(drain: Ending) -> None:
    """Drain the loops whose threads end with the process, as `runserver`'s with autoreload."""

    async def run() -> None:
        await drain()

    def drain_all() -> None:
        for loop in list(_held):
            if loop.is_running():
                # The loop may be quicker, or blocked.
                with suppress(futures.CancelledError, futures.TimeoutError):
                    draining = asyncio.run_coroutine_threadsafe(run(), loop)
                    draining.result(get_settings().DRAIN_DEADLINE)

    atexit.register(drain_all)
