"""A receiver that waits for a message, and how it is woken, from whatever thread or loop."""

from __future__ import annotations

import asyncio
from asyncio import _get_running_loop

from arcly_channels.layers.message import Copier

Waiter = asyncio.Future[Copier | None]
"""A future of the receiver's loop: it is given a message, or None when it is to ask again."""


def wake(waiter: Waiter) -> bool:
    """Have a receiver ask again, in its own loop; return False when it is known to be gone."""
    loop = waiter.get_loop()
    if loop is _get_running_loop():
        return _ask_again(waiter)
    try:
        loop.call_soon_threadsafe(_ask_again, waiter)
    except RuntimeError:
        if not loop.is_closed():
            raise
        return False
    return True


def _ask_again(waiter: Waiter) -> bool:
    if waiter.done():
        return False
    waiter.set_result(None)
    return True
