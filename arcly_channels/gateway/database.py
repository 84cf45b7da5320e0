"""The thread that all database work shares: what runs there, and what is closed there.

Channels awaits the closing of old connections before every message, in that one thread: 200 µs a
message, and a second while anybody's query takes one (`benchmarks/latency.py`). Here it is only put
into that thread's queue, ahead of whatever the handler of the message will ask of the database, and
not for every message of many: the thread takes the interpreter away from the event loop.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from channels.db import aclose_old_connections, database_sync_to_async

logger = logging.getLogger(__name__)

FRESH = 0.05
"""Seconds after a closing in which there is no other."""

_due: WeakKeyDictionary[asyncio.AbstractEventLoop, float] = WeakKeyDictionary()
"""When each loop has the next closing; never, while one waits in the thread's queue.

Not the tasks: each holds its loop, and would keep it alive here for ever.
"""


def is_closing_due(loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether old connections were not closed for a while in a loop."""
    return loop.time() >= _due.get(loop, 0.0)


async def queue_closing() -> None:
    """Have old connections closed before any database call that is made after this returns.

    One closing at a time is enough: while it waits in the thread's queue, it is still ahead.
    """
    loop = asyncio.get_running_loop()
    _due[loop] = math.inf
    task = loop.create_task(aclose_old_connections())
    task.add_done_callback(partial(_on_closed, loop))
    await asyncio.sleep(0)  # The task's first step is what puts it into the queue.


def _on_closed(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
    _due[loop] = loop.time() + FRESH
    if not task.cancelled() and (error := task.exception()):
        logger.error("Old database connections could not be closed", exc_info=error)


class ThreadCall:
    """A call of a function with one argument in that thread, with its old connections closed.

    No thread can be stopped, but what has not begun can be called off.
    """

    __slots__ = ("_argument", "_function", "_is_off")

    def __init__(self, function: Callable[[Any], Any], argument: Any) -> None:
        self._function = function
        self._argument = argument
        self._is_off = False

    async def run(self) -> Any:
        """Return what the function returns. Not to be cancelled: the thread would go on."""
        return await _in_thread(self._call)

    def call_off(self) -> None:
        """Do nothing, if it has not begun."""
        self._is_off = True

    def _call(self) -> Any:
        result = None if self._is_off else self._function(self._argument)
        if inspect.iscoroutine(result):
            result.close()
            raise TypeError(
                f"{self._function!r} is a def and returned a coroutine, which never ran"
            )
        return result


def _run(call: Callable[[], Any]) -> Any:
    return call()


_in_thread: Callable[[Callable[[], Any]], Awaitable[Any]] = database_sync_to_async(_run)
