"""Closing old database connections, without making a message wait for it.

Channels awaits this before every message, in the one thread that all database work shares: 200 µs a
message, and a second while anybody's query takes one (`benchmarks/latency.py`). Here it is only put
into that thread's queue, ahead of whatever the handler of the message will ask of the database.
"""

from __future__ import annotations

import asyncio
import logging
from weakref import WeakKeyDictionary

from channels.db import aclose_old_connections

logger = logging.getLogger(__name__)

_closing: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[None]] = WeakKeyDictionary()


async def queue_closing() -> None:
    """Have old connections closed before any database call that is made after this returns.

    One closing at a time is enough: while it waits in the thread's queue, it is still ahead.
    """
    loop = asyncio.get_running_loop()
    task = _closing.get(loop)
    if task is None or task.done():
        task = _closing[loop] = loop.create_task(aclose_old_connections())
        task.add_done_callback(_log_failure)
        await asyncio.sleep(0)  # The task's first step is what puts it into the queue.


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        logger.error("Old database connections could not be closed", exc_info=error)
