"""The thread that all database work shares: what runs there, and what is closed there.

Channels awaits the closing of old connections before every message, in that one thread: 200 µs a
message, and a second while anybody's query takes one (`benchmarks/latency.py`). Here it is only put
into that thread's queue, ahead of whatever the handler of the message will ask of the database.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from weakref import WeakSet

from channels.db import aclose_old_connections, database_sync_to_async

logger = logging.getLogger(__name__)

_queued: WeakSet[asyncio.AbstractEventLoop] = WeakSet()
"""The loops for which a closing waits in the thread's queue, which holds its task meanwhile.

Not the tasks: each holds its loop, and would keep it alive here for ever.
"""


async def queue_closing() -> None:
    """Have old connections closed before any database call that is made after this returns.

    One closing at a time is enough: while it waits in the thread's queue, it is still ahead.
    """
    loop = asyncio.get_running_loop()
    if loop not in _queued:
        _queued.add(loop)
        task = loop.create_task(aclose_old_connections())
        task.add_done_callback(partial(_on_closed, loop))
        await asyncio.sleep(0)  # The task's first step is what puts it into the queue.


def _on_closed(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
    _queued.discard(loop)
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
        return None if self._is_off else self._function(self._argument)


def _run(call: Callable[[], Any]) -> Any:
    return call()


_in_thread: Callable[[Callable[[], Any]], Awaitable[Any]] = database_sync_to_async(_run)
