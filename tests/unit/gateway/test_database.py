"""Closing old database connections keeps nothing alive."""

from __future__ import annotations

import asyncio
import gc
import weakref

from arcly_channels.gateway.database import queue_closing
from tests.waiting import turns


def test_no_event_loop_is_kept_alive() -> None:
    async def run() -> weakref.ref[asyncio.AbstractEventLoop]:
        await queue_closing()
        return weakref.ref(asyncio.get_running_loop())

    loops = [asyncio.run(run()) for _ in range(20)]
    gc.collect()
    assert sum(loop() is not None for loop in loops) <= 1  # The thread itself knows the last one.


async def test_one_closing_is_queued_at_a_time() -> None:
    before = asyncio.all_tasks()
    for _ in range(5):
        await queue_closing()
    assert len(asyncio.all_tasks() - before) == 1


async def test_next_closing_is_queued_when_the_last_has_run() -> None:
    for _ in range(2):
        before = asyncio.all_tasks()
        await queue_closing()
        (closing,) = asyncio.all_tasks() - before
        await closing
        await turns(1)
