"""That nothing stays behind."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from arcly_channels.layers.mailbox import Mailbox
from arcly_channels.testing.clock import Clock
from arcly_channels.testing.contract.helpers import (
    MARK,
    OWN,
    MakeLayer,
    evict_own,
    fill,
    numbered,
    received,
    received_by_evicted,
    run_in_thread,
    waiting,
)
from arcly_channels.testing.waiting import soon, turns


async def test_channel_is_gone_when_it_was_read(layer: Any) -> None:
    await fill(layer, "channel", 2)
    await received(layer, "channel")
    assert not layer.channels


async def test_channel_is_gone_when_its_receiver_was_cancelled(layer: Any) -> None:
    receiver = waiting(layer, "channel")
    await turns()
    receiver.cancel()
    await turns()
    assert not layer.channels


async def test_channel_and_group_are_gone_when_it_has_left(layer: Any) -> None:
    await layer.group_add("group", OWN)
    await layer.group_discard("group", OWN)
    assert (dict(layer.channels), dict(layer.groups)) == ({}, {})


async def test_channel_and_group_are_gone_when_the_membership_has_ended(
    make_layer: MakeLayer, gateway_clock: Clock
) -> None:
    layer = make_layer(group_expiry=60)
    await layer.group_add("group", OWN)
    gateway_clock.jump(61)
    await layer.group_send("any", MARK)
    assert (dict(layer.channels), dict(layer.groups)) == ({}, {})


def mailboxes() -> int:
    gc.collect()
    return sum(type(thing) is Mailbox for thing in gc.get_objects())


async def test_no_object_stays_behind_after_use(layer: Any) -> None:
    before = mailboxes()
    for _ in range(100):
        channel = await layer.new_channel()
        await layer.group_add("group", channel)
        await layer.group_send("group", numbered(1))
        await soon(layer.receive(channel))
        await layer.group_discard("group", channel)
    assert mailboxes() == before


async def test_no_object_stays_behind_after_evictions(
    make_layer: MakeLayer, gateway_clock: Clock
) -> None:
    layer, before = make_layer(capacity=2), mailboxes()
    await evict_own(layer, gateway_clock)
    await received_by_evicted(layer)
    assert mailboxes() == before


async def test_no_object_stays_behind_when_messages_expire(
    make_layer: MakeLayer, gateway_clock: Clock
) -> None:
    layer, before = make_layer(expiry=60, group_expiry=60), mailboxes()
    for number in range(100):
        await layer.send(f"channel-{number}", numbered(1))
        await layer.group_add("group", f"channel-{number}")
    gateway_clock.jump(61)
    await layer.group_send("any", MARK)
    assert mailboxes() == before


@pytest.mark.usefixtures("many_switches")
async def test_no_object_stays_behind_when_threads_join_and_leave_at_once(layer: Any) -> None:
    before, channels = mailboxes(), [f"specific.test!{number}" for number in range(5)]

    async def join_and_leave(work: Callable[[str, str], Awaitable[None]]) -> None:
        for number in range(20_000):
            await work("group", channels[number % 5])

    works = [layer.group_add, layer.group_discard] * 2
    threads = [run_in_thread(partial(join_and_leave, work)) for work in works]
    for thread in threads:
        await asyncio.to_thread(thread.join)
    for channel in channels:
        await layer.group_discard("group", channel)
    assert mailboxes() == before
