"""A receiver begins to wait without the lock: what others do in that moment is not missed."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from functools import partial

import pytest

from arcly_channels.layers import LocalChannelLayer
from arcly_channels.layers.mailbox import EVICTED, Mailbox
from arcly_channels.testing.waiting import soon

CHANNEL = "specific.test!own"
MESSAGE = {"type": "plain.message"}


class Interrupted:
    """A mailbox's lock, before whose first use by a receiver another thread does something."""

    def __init__(self, interrupt: Callable[[], object]) -> None:
        self._lock = threading.Lock()
        self._interrupts = [interrupt]

    def locked(self) -> bool:
        while self._interrupts:
            thread = threading.Thread(target=self._interrupts.pop())
            thread.start()
            thread.join()
        return self._lock.locked()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def interrupt(layer: LocalChannelLayer, action: Callable[[], object]) -> Mailbox:
    mailbox = layer._channels._directory.open(CHANNEL)
    mailbox.lock = Interrupted(action)  # type: ignore[assignment]
    return mailbox


async def test_message_that_comes_as_a_receiver_begins_to_wait(layer: LocalChannelLayer) -> None:
    interrupt(layer, partial(layer.send_now, CHANNEL, MESSAGE))
    assert await soon(layer.receive(CHANNEL)) == MESSAGE


async def test_next_message_goes_to_the_next_receiver(layer: LocalChannelLayer) -> None:
    interrupt(layer, partial(layer.send_now, CHANNEL, MESSAGE))
    await soon(layer.receive(CHANNEL))
    receiver = asyncio.ensure_future(layer.receive(CHANNEL))
    await asyncio.sleep(0)
    await layer.send(CHANNEL, {**MESSAGE, "number": 2})
    assert await soon(receiver) == {**MESSAGE, "number": 2}


async def test_receiver_that_begins_to_wait_as_its_channel_is_forgotten(
    layer: LocalChannelLayer,
) -> None:
    interrupt(layer, partial(layer._channels.forget, CHANNEL))
    receiver = asyncio.ensure_future(layer.receive(CHANNEL))
    await asyncio.sleep(0)
    await layer.send(CHANNEL, MESSAGE)
    assert await soon(receiver) == MESSAGE


@pytest.mark.parametrize("end", [Mailbox.close_if_idle, partial(Mailbox.evict, now=0.0)])
async def test_who_waits_already_is_neither_closed_nor_evicted(
    layer: LocalChannelLayer, end: Callable[[Mailbox], object]
) -> None:
    mailbox = layer._channels._directory.open(CHANNEL)
    mailbox.lock = Interrupted(lambda: end(mailbox))  # type: ignore[assignment]
    assert isinstance(mailbox.take_or_wait(), asyncio.Future)
    assert not mailbox.is_closed
    assert not mailbox.is_evicted


async def test_receiver_finds_the_eviction_that_came_before_it(layer: LocalChannelLayer) -> None:
    mailbox = layer._channels._directory.open(CHANNEL)
    mailbox.evict(0.0)
    assert mailbox.take_or_wait() is EVICTED


async def test_nobody_is_overlooked_while_somebody_holds_the_lock(
    layer: LocalChannelLayer,
) -> None:
    mailbox = layer._channels._directory.open(CHANNEL)
    mailbox.lock.acquire()
    timer = threading.Timer(0.01, _put_and_release, [mailbox])
    timer.start()
    message = mailbox.take_or_wait()
    timer.join()
    assert not isinstance(message, asyncio.Future)


def _put_and_release(mailbox: Mailbox) -> None:
    mailbox._add(MESSAGE.copy, time.monotonic(), is_sent=True)
    mailbox.lock.release()
