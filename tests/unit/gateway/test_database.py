"""Old database connections are closed, in their thread, and nothing is kept alive by that."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from arcly_channels.gateway.database import FRESH, ThreadCall, is_closing_due, queue_closing
from arcly_channels.testing.waiting import turns


def test_no_event_loop_is_kept_alive() -> None:
    async def run() -> weakref.ref[asyncio.AbstractEventLoop]:
        await queue_closing()
        return weakref.ref(asyncio.get_running_loop())

    loops = [asyncio.run(run()) for _ in range(20)]
    gc.collect()
    assert sum(loop() is not None for loop in loops) <= 1  # The thread itself knows the last one.


async def test_no_closing_is_due_while_one_is_queued() -> None:
    assert is_closing_due(asyncio.get_running_loop())
    await queue_closing()
    assert not is_closing_due(asyncio.get_running_loop())


async def test_next_closing_is_due_a_moment_after_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    before = asyncio.all_tasks()
    await queue_closing()
    (closing,) = asyncio.all_tasks() - before
    await closing
    await turns(1)
    assert not is_closing_due(asyncio.get_running_loop())
    now = asyncio.get_running_loop().time()
    monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now + FRESH)
    assert is_closing_due(asyncio.get_running_loop())


async def test_thread_closes_its_connections_before_a_call_and_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    notes: list[Any] = []

    def note(what: str) -> None:
        notes.append((what, threading.current_thread()))

    monkeypatch.setattr("channels.db.close_old_connections", lambda: note("close"))
    await ThreadCall(note, "call").run()
    thread = await sync_to_async(threading.current_thread)()
    assert notes == [("close", thread), ("call", thread), ("close", thread)]


async def test_call_that_is_called_off_does_nothing() -> None:
    notes: list[str] = []
    call = ThreadCall(notes.append, "called")
    call.call_off()
    assert await call.run() is None
    assert notes == []
