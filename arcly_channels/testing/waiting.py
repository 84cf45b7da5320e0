"""Waiting for a fact, with a deadline instead of a fixed sleep."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

DEADLINE = 10.0
"""Seconds after which a test gives up; far more than anything takes that is to happen."""


async def soon(awaitable: Awaitable[T]) -> T:
    """Return the result of `awaitable`, or fail when the deadline has passed."""
    return await asyncio.wait_for(awaitable, DEADLINE)


async def eventually(fact: Callable[[], object]) -> None:
    """Return once `fact()` holds, letting the event loop run; fail at the deadline."""
    deadline = time.perf_counter() + DEADLINE  # Which no test moves.
    while not fact():  # What is watched here cannot set an event.
        if time.perf_counter() > deadline:
            raise AssertionError("it did not happen in time")
        await asyncio.sleep(0.001)


async def turns(number: int = 5) -> None:
    """Let the event loop run a few turns: time for what must not happen to happen."""
    for _ in range(number):
        await asyncio.sleep(0)
