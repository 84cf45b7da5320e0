"""Bounds: full channels, evictions, and that what reached nobody is counted."""

from __future__ import annotations

import asyncio
import re
import threading
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from channels.exceptions import ChannelFull

from arcly_channels.layers.stall import LOOK, STALL
from arcly_channels.testing.clock import Clock
from arcly_channels.testing.contract.helpers import (
    MARK,
    OWN,
    MakeLayer,
    evict_own,
    fill,
    numbered,
    overflow_own,
    received,
    received_by_evicted,
    run_in_thread,
    waiting,
)
from arcly_channels.testing.waiting import DEADLINE, eventually, soon, turns

MOST_LOOKS = 2 * STALL / LOOK
"""How many looks it takes at most until a consumer that reads nothing is evicted."""

# Capacity


async def test_full_channel_raises_channel_full(make_layer: MakeLayer) -> None:
    layer = make_layer(capacity=3)
    await fill(layer, "channel", 3)
    with pytest.raises(ChannelFull):
        await layer.send("channel", numbered(3))


async def test_message_that_did_not_fit_is_not_delivered(make_layer: MakeLayer) -> None:
    layer = make_layer(capacity=2)
    await fill(layer, "channel", 2)
    with pytest.raises(ChannelFull):
        await layer.send("channel", numbered(2))
    assert [(await soon(layer.receive("channel")))["number"] for _ in "ab"] == [0, 1]
    assert await received(layer, "channel") == []


async def test_full_channel_has_room_after_a_receive(make_layer: MakeLayer) -> None:
    layer = make_layer(capacity=1)
    await layer.send("channel", numbered(1))
    await soon(layer.receive("channel"))
    await layer.send("channel", numbered(2))


async def test_full_channel_leaves_the_others_alone(make_layer: MakeLayer) -> None:
    layer = make_layer(capacity=1)
    await layer.send("channel-1", numbered(1))
    await layer.send("channel-2", numbered(1))


@pytest.mark.parametrize(
    ("channel", "capacity"),
    [("http.request", 1), ("http.response!abc", 2), ("websocket.send!abc", 3), ("other", 4)],
)
async def test_capacity_of_a_channel_is_that_of_the_first_pattern_that_matches(
    make_layer: MakeLayer, channel: str, capacity: int
) -> None:
    patterns = {"http.request": 1, "http.*": 2, re.compile(r"^websocket.send\!.+"): 3, "http.r*": 9}
    layer = make_layer(capacity=4, channel_capacity=patterns)
    await fill(layer, channel, capacity)
    with pytest.raises(ChannelFull):
        await layer.send(channel, MARK)


# Overflow


async def test_group_message_for_a_full_member_raises_nothing(make_layer: MakeLayer) -> None:
    for overflow in ("evict", "drop_newest", "drop_oldest"):
        await overflow_own(make_layer(capacity=1, overflow=overflow))


async def test_full_member_does_not_keep_a_message_from_the_others(make_layer: MakeLayer) -> None:
    layer = make_layer(capacity=2, channel_capacity={"member*": 10})
    for channel in ("member-1", OWN, "member-2"):
        await layer.group_add("group", channel)
    await overflow_own(layer)
    assert await received(layer, "member-1") == await received(layer, "member-2") == [0, 1, 2]


async def test_burst_evicts_nobody(make_layer: MakeLayer) -> None:
    layer = make_layer(capacity=2)
    await overflow_own(layer)
    assert layer.groups["group"] == {OWN}
    assert [(await soon(layer.receive(OWN)))["number"] for _ in range(3)] == [0, 1, 2]


async def test_burst_beyond_ten_times_the_capacity_loses_its_newest_messages(
    make_layer: MakeLayer,
) -> None:
    layer = make_layer(capacity=2)
    await layer.group_add("group", OWN)
    for number in range(25):
        await layer.group_send("group", numbered(number))
    assert layer.counts["dropped_full"] == 5
    assert [(await soon(layer.receive(OWN)))["number"] for _ in range(20)] == list(range(20))


async def test_full_channel_that_is_not_read_for_a_while_is_evicted(
    make_layer: MakeLayer, gateway_clock: Clock
) -> None:
    layer = make_layer(capacity=2)
    await evict_own(layer, gateway_clock)
    assert await received_by_evicted(layer) == [0, 1, 2]


async def test_channel_that_is_not_full_is_never_evicted(
    make_layer: MakeLayer, gateway_clock: Clock
) -> None:
    layer = make_layer(capacity=4)
    await evict_own(layer, gateway_clock)
    assert await received(layer, OWN) == [0, 1, 2]


async def test_full_channel_that_is_read_now_and_then_is_not_evicted(
    make_layer: MakeLayer, gateway_clock: Clock
) -> None:
    layer = make_layer(capacity=2)
    await layer.group_add("group", OWN)
    for number in range(50):
        await layer.group_send("group", numbered(number))
        if number % 2:
            await soon(layer.receive(OWN))
        gateway_clock.jump(STALL / 5)
        await turns()
    assert layer.registry.evictions == 0


async def stop_reading(layer: Any) -> None:
    """Receive one message on `OWN`, of capacity 2 or less, and leave the next three there."""
    await layer.group_add("group", OWN)
    receiver = waiting(layer, OWN)
    await turns()
    await layer.send(OWN, MARK)
    await soon(receiver)
    await overflow_own(layer)


async def looks_until_evicted(layer: Any, gateway_clock: Clock) -> int:
    """Let time pass until one more is evicted, and return for how many looks; fail for too many."""
    before, looks = layer.registry.evictions, 0
    while layer.registry.evictions == before:
        assert looks < MOST_LOOKS, "nobody is evicted"
        gateway_clock.jump(LOOK)
        await turns()
        looks += 1
    return looks


async def test_consumer_that_stops_reading_is_evicted_after_some_looks(
    make_layer: MakeLayer, gateway_clock: Clock
) -> None:
    layer = make_layer(capacity=2)
    await stop_reading(layer)
    assert STALL / LOOK <= await looks_until_evicted(layer, gateway_clock) <= MOST_LOOKS
    assert await received_by_evicted(layer) == [0, 1, 2]


async def test_consumer_whose_loop_was_blocked_is_not_evicted(
    make_layer: MakeLayer, gateway_clock: Clock
) -> None:
    layer = make_layer(capacity=2)
    await stop_reading(layer)
    for _ in range(100):  # The loop does not turn in between.
        gateway_clock.jump(LOOK)
        layer.group_send_now("any", MARK)
    await turns()
    assert layer.registry.evictions == 0


async def test_consumer_of_a_loop_that_is_gone_is_evicted(
    make_layer: MakeLayer, gateway_clock: Clock
) -> None:
    layer = make_layer(capacity=2)
    await asyncio.to_thread(run_in_thread(partial(stop_reading, layer)).join, DEADLINE)
    gateway_clock.jump(STALL)
    await layer.group_send("any", MARK)
    assert layer.registry.evictions == 1


async def test_evicted_channel_gets_the_eviction_once(
    make_layer: MakeLayer, gateway_clock: Clock
) -> None:
    layer = make_layer(capacity=2)
    await evict_own(layer, gateway_clock)
    await layer.group_send("group", numbered(3))
    await received_by_evicted(layer)
    assert await received(layer, OWN) == []


async def test_evicted_channel_is_out_of_all_groups_at_once(
    make_layer: MakeLayer, gateway_clock: Clock
) -> None:
    layer = make_layer(capacity=2)
    await layer.group_add("other", OWN)
    await evict_own(layer, gateway_clock)
    assert not dict(layer.groups)


async def test_message_for_an_evicted_channel_raises_channel_full(
    make_layer: MakeLayer, gateway_clock: Clock
) -> None:
    layer = make_layer(capacity=2)
    await evict_own(layer, gateway_clock)
    await soon(layer.receive(OWN))
    await soon(layer.receive(OWN))
    with pytest.raises(ChannelFull):
        await layer.send(OWN, numbered(3))


async def test_evicted_channel_joins_no_group_before_it_has_read_of_it(
    make_layer: MakeLayer, gateway_clock: Clock
) -> None:
    layer = make_layer(capacity=2)
    await evict_own(layer, gateway_clock)
    await layer.group_add("group", OWN)
    assert not dict(layer.groups)


async def test_evicted_channel_may_join_again_after_it_has_read_of_it(
    make_layer: MakeLayer, gateway_clock: Clock
) -> None:
    layer = make_layer(capacity=2)
    await evict_own(layer, gateway_clock)
    await received_by_evicted(layer)
    await layer.group_add("group", OWN)
    await layer.group_send("group", numbered(7))
    assert await received(layer, OWN) == [7]


async def test_channel_may_be_evicted_again(make_layer: MakeLayer, gateway_clock: Clock) -> None:
    layer = make_layer(capacity=2)
    await evict_own(layer, gateway_clock)
    assert await received_by_evicted(layer) == [0, 1, 2]
    await overflow_own(layer)
    await looks_until_evicted(layer, gateway_clock)  # Its consumer has a loop now, which is asked.
    assert await received_by_evicted(layer) == [0, 1, 2]


async def test_waiter_reads_of_an_eviction_when_the_backlog_has_expired(
    make_layer: MakeLayer, gateway_clock: Clock
) -> None:
    layer = make_layer(capacity=2, expiry=60)
    await evict_own(layer, gateway_clock)
    gateway_clock.jump(55)
    assert await received_by_evicted(layer) == []


async def test_eviction_that_nobody_reads_of_is_forgotten(
    make_layer: MakeLayer, gateway_clock: Clock
) -> None:
    layer = make_layer(capacity=2, expiry=60)
    await evict_own(layer, gateway_clock)
    gateway_clock.jump(61)
    await layer.group_send("any", MARK)
    gateway_clock.jump(61)
    await layer.group_send("any", MARK)
    assert not layer.channels


async def test_eviction_is_counted_and_logged(
    make_layer: MakeLayer, gateway_clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    layer = make_layer(capacity=2)
    await evict_own(layer, gateway_clock)
    assert (layer.registry.evictions, layer.counts["dropped_full"]) == (1, 0)
    assert OWN in caplog.text


async def test_full_channel_of_many_consumers_is_never_evicted(make_layer: MakeLayer) -> None:
    layer = make_layer(capacity=3)
    await layer.group_add("group", "channel")
    for number in range(5):
        await layer.group_send("group", numbered(number))
    await eventually(lambda: layer.counts["dropped_full"] == 2)
    assert [(await soon(layer.receive("channel")))["number"] for _ in range(3)] == [0, 1, 2]
    assert layer.registry.evictions == 0


async def test_full_channel_of_many_consumers_stays_in_its_groups(make_layer: MakeLayer) -> None:
    layer = make_layer(capacity=1)
    await layer.group_add("group", "channel")
    for number in range(3):
        await layer.group_send("group", numbered(number))
    assert dict(layer.groups) == {"group": {"channel"}}


async def test_full_channel_drops_the_newest_if_told_to(make_layer: MakeLayer) -> None:
    layer = make_layer(capacity=2, overflow="drop_newest")
    await overflow_own(layer)
    assert [(await soon(layer.receive(OWN)))["number"] for _ in "ab"] == [0, 1]
    assert await received(layer, OWN) == []


async def test_full_channel_drops_the_oldest_if_told_to(make_layer: MakeLayer) -> None:
    layer = make_layer(capacity=2, overflow="drop_oldest")
    await overflow_own(layer)
    assert [(await soon(layer.receive(OWN)))["number"] for _ in "ab"] == [1, 2]
    assert await received(layer, OWN) == []


@pytest.mark.parametrize("overflow", ["drop_newest", "drop_oldest"])
async def test_dropped_messages_are_counted(make_layer: MakeLayer, overflow: str) -> None:
    layer = make_layer(capacity=1, overflow=overflow)
    await overflow_own(layer)
    assert (layer.counts["dropped_full"], layer.registry.evictions) == (2, 0)


@pytest.mark.parametrize("overflow", ["drop_newest", "drop_oldest"])
async def test_channel_that_drops_stays_in_its_groups(make_layer: MakeLayer, overflow: str) -> None:
    layer = make_layer(capacity=1, overflow=overflow)
    await overflow_own(layer)
    assert dict(layer.groups) == {"group": {OWN}}


@pytest.mark.parametrize("overflow", ["evict", "drop_newest", "drop_oldest"])
async def test_sender_to_a_full_channel_is_told_whatever_the_overflow(
    make_layer: MakeLayer, overflow: str
) -> None:
    layer = make_layer(capacity=1, overflow=overflow)
    await layer.send(OWN, numbered(1))
    with pytest.raises(ChannelFull):
        await layer.send(OWN, numbered(2))


# Sent is received, counted or waiting


def lost(layer: Any) -> int:
    """Return how many messages were counted as having reached nobody."""
    return sum(count for what, count in layer.counts.items() if what.startswith("dropped_"))


@pytest.mark.usefixtures("many_switches")
@pytest.mark.parametrize("overflow", ["evict", "drop_newest", "drop_oldest"])
async def test_every_group_message_of_threads_is_received_or_counted_or_waits(
    make_layer: MakeLayer, overflow: str
) -> None:
    layer, each = make_layer(capacity=3, overflow=overflow), 500
    await layer.group_add("group", OWN)
    received, ended = 0, threading.Event()

    async def send() -> None:
        for number in range(each):
            layer.group_send_now("group", numbered(number))

    async def receive() -> None:
        nonlocal received
        while not ended.is_set():
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(layer.receive(OWN), 0.001)
                received += 1

    receiver = run_in_thread(receive)
    senders = [run_in_thread(send) for _ in range(4)]
    for thread in senders:
        await asyncio.to_thread(thread.join, DEADLINE)
    await soon(layer.group_send("group", numbered(each)))  # Behind all that is on its way.
    ended.set()
    await asyncio.to_thread(receiver.join, DEADLINE)
    assert 4 * each + 1 == received + lost(layer) + layer.channels[OWN].qsize()


async def test_messages_for_an_evicted_channel_are_counted(
    make_layer: MakeLayer, gateway_clock: Clock
) -> None:
    layer = make_layer(capacity=2)
    await evict_own(layer, gateway_clock)
    for number in range(3):
        with suppress(ChannelFull):
            await layer.send(OWN, numbered(number))
    await layer.flush()
    assert layer.counts["dropped_gone"] == 3


@pytest.mark.parametrize("end", ["flush", "clear", "abandon"])
async def test_messages_that_wait_when_a_channel_ends_are_counted(
    make_layer: MakeLayer, gateway_clock: Clock, end: str
) -> None:
    layer = make_layer(expiry=60)
    await layer.group_add("group", OWN)
    await layer.send(OWN, MARK)
    await soon(layer.receive(OWN))
    await layer.send(OWN, MARK)
    gateway_clock.jump(50)
    await layer.send(OWN, MARK)
    if end == "flush":
        await layer.flush()
    elif end == "clear":
        layer.channels.clear()
    else:
        gateway_clock.jump(15)
        await layer.group_send("any", MARK)
    assert not layer.channels
    assert lost(layer) == 2
