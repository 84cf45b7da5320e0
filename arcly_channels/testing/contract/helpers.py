"""What the tests of the contract share: two fixtures, and short words for long calls."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from arcly_channels.exceptions import SlowConsumer
from arcly_channels.layers.stall import STALL
from arcly_channels.testing.clock import Clock
from arcly_channels.testing.waiting import soon

MakeLayer = Callable[..., Any]
"""Makes a layer with the options of its CONFIG."""

MARK = {"type": "mark"}
OWN = "specific.test!own"
"""A channel of one consumer, as the `!` says; the others are for all workers to share."""


def numbered(number: int) -> dict[str, Any]:
    return {"type": "test.message", "number": number}


async def received(layer: Any, channel: str) -> list[Any]:
    """Return everything that waits on a channel, by number or else by type."""
    await layer.send(channel, MARK)
    messages = []
    while (message := await soon(layer.receive(channel))) != MARK:
        messages.append(message.get("number", message["type"]))
    return messages


async def fill(layer: Any, channel: str, number: int) -> None:
    for serial in range(number):
        await layer.send(channel, numbered(serial))


async def overflow_own(layer: Any) -> None:
    """Fill the channel `OWN` of capacity 1 or 2 by group messages with the numbers 0 to 2."""
    await layer.group_add("group", OWN)
    for number in range(3):
        await layer.group_send("group", numbered(number))


async def evict_own(layer: Any, gateway_clock: Clock) -> None:
    """Have the full channel `OWN` evicted, which nobody ever reads."""
    await overflow_own(layer)
    gateway_clock.jump(STALL)
    await layer.group_send("any", MARK)


async def received_by_evicted(layer: Any) -> list[Any]:
    """Return what waits on `OWN` up to the eviction. It takes no mark before it has read that."""
    messages = []
    while True:
        try:
            messages.append((await soon(layer.receive(OWN)))["number"])
        except SlowConsumer:
            return messages


def waiting(layer: Any, channel: str) -> asyncio.Task[Any]:
    return asyncio.create_task(layer.receive(channel))


def run_in_thread(make: Callable[[], Awaitable[object]]) -> threading.Thread:
    """Run what `make` returns in an event loop in a thread of its own."""

    async def run() -> None:
        await make()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    return thread


@pytest.fixture
def layer(make_layer: MakeLayer) -> Any:
    """A layer as it is without options."""
    return make_layer()


@pytest.fixture
def many_switches() -> Iterator[None]:
    """Makes the interpreter switch threads in the middle of things."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)
