"""Which event loop the links of a relay belong to.

A server has one in its main thread, and the clients are there. A process without, as under WSGI, in
Celery or in a command, gets a thread with a loop of its own. So does one whose loops come and go in
other threads, as `async_to_sync` makes one for each call: the links would go with it.

A forked child has no such loop, and makes its own at its first use. It does not touch what it has
of its parent: below, in the kernel, that is one and the same.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import os
import threading
from asyncio import _get_running_loop
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar
from weakref import WeakSet

from arcly_channels.exceptions import RelayUnavailable
from arcly_channels.fork import ForkSafeLock
from arcly_channels.relay.shards import Shards

RUN_TIMEOUT = 5.0
"""Seconds after which what should run in the loop is given up: it does not turn."""

EXIT_TIMEOUT = 2.0
"""Seconds that the thread gets at the end of the process, for what it has to send yet."""

STANDS = "the event loop of the relay does not turn"

T = TypeVar("T")


class Home:
    """The loop of the links, and the shards that live in it; `furnish` makes them, in the loop.

    For use in any thread. When its loop has ended, another takes its place at the next use.
    """

    def __init__(self, furnish: Callable[[], Shards]) -> None:
        self._furnish = furnish
        self._loop: asyncio.AbstractEventLoop | None = None
        self._shards: Shards | None = None
        self._thread: LoopThread | None = None
        self._is_settled = False
        self._last_will: AsyncGenerator[None] | None = None
        self._lock = ForkSafeLock()
        _homes.add(self)

    @property
    def shards(self) -> Shards | None:
        """The shards, if there are any yet."""
        return self._shards

    def enter(self, *, stays: bool = False) -> Shards | None:
        """Return the shards, where the running loop is theirs, or becomes it; None elsewhere.

        Once somebody `stays`, who waits for what arrives, the shards do not move out of their loop
        as long as that runs.
        """
        loop = _get_running_loop()
        if loop is None or loop is not self._loop or (stays and not self._is_settled):
            with self._lock:
                self._move_in(loop)
                self._is_settled = self._is_settled or stays
        return self._shards if loop is self._loop else None

    def call(self, function: Callable[[Shards], object]) -> None:
        """Have `function` called with the shards, in their loop, soon; not where there are none.

        Should they move out, it is called before they end.
        """
        with self._lock:
            if self._loop is not None and self._shards is not None:
                with suppress(RuntimeError):  # The loop was closed just now, with all it had.
                    self._loop.call_soon_threadsafe(function, self._shards)

    async def run(self, make: Callable[[Shards], Coroutine[Any, Any, T]]) -> T:
        """Return what a coroutine returns that `make` makes of the shards, and that runs here.

        It is for somebody who stays.
        """
        shards = self.enter(stays=True)
        if shards is not None:
            return await make(shards)
        running = asyncio.wrap_future(self._start(make))
        if not await is_done_within(RUN_TIMEOUT, running):
            running.cancel()
            raise RelayUnavailable(STANDS)
        return running.result()

    def run_now(self, make: Callable[[Shards], Coroutine[Any, Any, T]]) -> T:
        """Do the same in a thread that runs no event loop."""
        running = self._start(make)
        try:
            return running.result(RUN_TIMEOUT)
        except concurrent.futures.TimeoutError:
            if running.done():
                raise  # It was its own.
            running.cancel()
            raise RelayUnavailable(STANDS) from None

    async def leave(self) -> None:
        """End the shards; with the next use they begin again."""
        with self._lock:
            loop, shards, thread = self._loop, self._shards, self._thread
            self._loop = self._shards = self._thread = None
            self._is_settled = False
        if shards is None or loop is None or loop.is_closed():
            return
        if thread is not None:
            await asyncio.wrap_future(thread.end())
        elif loop is _get_running_loop():
            await shards.stop()
        elif loop.is_running():
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(shards.stop(), loop))

    # Inside

    def _start(
        self, make: Callable[[Shards], Coroutine[Any, Any, T]]
    ) -> concurrent.futures.Future[T]:
        self.enter(stays=True)
        loop, shards = self._loop, self._shards
        if loop is None or shards is None:
            raise RelayUnavailable("its event loop has ended just now")
        return asyncio.run_coroutine_threadsafe(make(shards), loop)

    def _move_in(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """See to it that there is a home: the running loop, if it is that of the main thread."""
        is_main = loop is not None and threading.current_thread() is threading.main_thread()
        thread = self._thread
        if self._is_alive() and (not is_main or thread is None or self._is_settled):
            return
        self._is_settled = False
        if is_main:
            self._thread, self._loop, self._shards = None, loop, self._furnish()
            self._last_will = _at_end_of_loop(partial(self._leave, self._shards))
        else:
            self._thread = LoopThread()
            self._loop, self._shards = self._thread.loop, self._thread.call(self._furnish)
            self._thread.last_work = self._shards.stop
        if thread is not None:
            thread.end()  # Behind whatever was handed in there.

    async def _leave(self, shards: Shards) -> None:
        if self._shards is shards:
            await self.leave()

    def _is_alive(self) -> bool:
        loop = self._loop
        return loop is not None and loop.is_running() and not loop.is_closed()


class LoopThread:
    """An event loop in a thread of its own, which ends with the process, and not before it."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._process = os.getpid()
        self._ending: concurrent.futures.Future[None] | None = None
        self.last_work: Callable[[], Coroutine[Any, Any, None]] | None = None
        """What is to be done there at the end."""
        self._thread = threading.Thread(target=self._run, name="arcly-relay", daemon=True)
        self._thread.start()
        atexit.register(self._end_process)

    def call(self, function: Callable[[], T]) -> T:
        """Return what `function` returns in the thread."""

        async def run() -> T:
            return function()

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result()

    def end(self) -> concurrent.futures.Future[None]:
        """Have the thread end after its last work. Does not wait for it; the future does."""
        if self._ending is None:
            atexit.unregister(self._end_process)
            self._ending = asyncio.run_coroutine_threadsafe(self._end(), self.loop)
        return self._ending

    # Inside

    def _run(self) -> None:
        try:
            self.loop.run_forever()
        finally:
            self.loop.close()

    async def _end(self) -> None:
        try:
            if self.last_work is not None:
                await self.last_work()
        finally:
            self.loop.call_soon(self.loop.stop)

    def _end_process(self) -> None:
        """Give what was posted the time to be sent. A forked child has no such thread."""
        if self._process == os.getpid():
            self.end()
            self._thread.join(EXIT_TIMEOUT)


async def is_done_within(seconds: float, outcome: asyncio.Future[Any]) -> bool:
    """Wait for an outcome, which comes from another loop; return whether it is there in time.

    Who is cancelled meanwhile does not ask what becomes of it, and is not told of an error.
    """
    try:
        await asyncio.wait([outcome], timeout=seconds)
    except asyncio.CancelledError:
        outcome.cancel()
        raise
    return outcome.done()


def _at_end_of_loop(work: Callable[[], Coroutine[Any, Any, None]]) -> AsyncGenerator[None]:
    """Have the running loop do some work before it is closed, while what this returns is kept.

    That is how `asyncio.run` ends, and most servers: it closes the generators that wait yet.
    """

    async def wait() -> AsyncGenerator[None]:
        try:
            yield
        finally:
            await work()

    waiting = wait()
    with suppress(StopIteration):  # It has come to its `yield`.
        waiting.__anext__().send(None)
    return waiting


_homes: WeakSet[Home] = WeakSet()
_of_parents: list[Any] = []
"""What a child has of its parent, and keeps: its end would be felt there."""


def _before_fork() -> None:
    _of_parents.append([{**vars(home)} for home in _homes])


def _after_fork_in_child() -> None:
    """Let go of the connections of the parent, which else could not end them."""
    for home in _of_parents[-1]:
        shards = home["_shards"]
        for link in () if shards is None else shards.links():
            link.let_go()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_of_parents.pop,
        after_in_child=_after_fork_in_child,
    )
