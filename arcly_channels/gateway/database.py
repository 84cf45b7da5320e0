"""Closing old database connections, without making a message wait for it.

Channels awaits this before every message, in the one thread that all database work shares: 200 µs a
message, and a second while anybody's query takes one (`benchmarks/latency.py`). Here it is only put
into that thread's queue, ahead of whatever the handler of the message will ask of the database.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from weakref import WeakSet

from channels.db import aclose_old_connections

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
