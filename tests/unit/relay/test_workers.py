"""Channels that workers share: each message is for one reader, in time, and up to a bound."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from channels.exceptions import ChannelFull

from arcly_channels.layers import RedisChannelLayer
from arcly_channels.layers.redis import SELF_DELIVERY
from arcly_channels.testing.waiting import DEADLINE, eventually, soon
from tests.redis_servers import RedisServer

MakeLayer = Callable[..., RedisChannelLayer]

OLD = "0000000000001"
"""A time at which a message expired long ago, as it is kept in the list."""


def numbered(number: int) -> dict[str, Any]:
    return {"type": "test.message", "number": number}


@pytest.fixture
def prefix() -> str:
    return secrets.token_hex(4)


@pytest.fixture
def work(prefix: str) -> str:
    """The list of the channel `work`."""
    return f"{prefix}:1:w:{{work}}"


@pytest.fixture
async def make_layer(redis: RedisServer, prefix: str) -> AsyncIterator[MakeLayer]:
    """Makes layers that are those of different processes, for all that they know."""
    made: list[RedisChannelLayer] = []

    def make(**config: Any) -> RedisChannelLayer:
        made.append(RedisChannelLayer(hosts=[redis.url], prefix=prefix, **config))
        return made[-1]

    yield make
    await soon(asyncio.gather(*(layer.close() for layer in made)))


async def numbers(layer: RedisChannelLayer, count: int) -> list[int]:
    return [(await soon(layer.receive("work")))["number"] for _ in range(count)]


def readers(redis: RedisServer) -> int:
    """Return how many connections wait for a message on a list."""
    return redis.ask("CLIENT", "LIST").count("cmd=blpop")


# One reader


async def test_messages_wait_in_their_order(make_layer: MakeLayer) -> None:
    sender, reader = make_layer(), make_layer()
    for number in range(5):
        await sender.send("work", numbered(number))
    assert await numbers(reader, 5) == list(range(5))


async def test_each_message_is_for_one_of_those_who_read(make_layer: MakeLayer) -> None:
    sender, *layers = (make_layer() for _ in range(3))
    found: list[int] = []

    async def read(layer: RedisChannelLayer) -> None:
        while True:
            found.append((await layer.receive("work"))["number"])

    reading = [asyncio.create_task(read(layer)) for layer in layers]
    for number in range(50):
        await sender.send("work", numbered(number))
    await eventually(lambda: len(found) >= 50)
    assert sorted(found) == list(range(50))
    for task in reading:
        task.cancel()
    await asyncio.wait(reading)


async def test_message_that_finds_its_reader_gone_is_put_back_where_it_was(
    make_layer: MakeLayer, redis: RedisServer
) -> None:
    sender, hasty, patient = (make_layer() for _ in range(3))
    reading = asyncio.create_task(hasty.receive("work"))
    await eventually(lambda: readers(redis))
    reading.cancel()
    await asyncio.wait([reading])
    for number in range(3):  # The first is taken by who waits no more.
        await sender.send("work", numbered(number))
    await eventually(lambda: not readers(redis))
    assert await numbers(patient, 3) == [0, 1, 2]


@pytest.mark.parametrize("way", SELF_DELIVERY)
async def test_group_has_one_message_for_a_channel_that_two_processes_have_added(
    make_layer: MakeLayer, way: str
) -> None:
    layers = [make_layer(self_delivery=way) for _ in range(3)]
    for layer in layers[:2]:
        await layer.group_add("group", "work")
    for number, layer in enumerate(layers):
        await layer.group_send("group", numbered(number))
    await layers[0].send("work", numbered(9))
    found = await numbers(layers[2], 4)
    assert sorted(found) == [0, 1, 2, 9]


async def test_who_has_stopped_reading_keeps_no_connection(
    make_layer: MakeLayer, redis: RedisServer
) -> None:
    reader = make_layer()
    reading = asyncio.create_task(reader.receive("work"))
    await eventually(lambda: readers(redis) == 1)
    reading.cancel()
    await asyncio.wait([reading])
    await eventually(lambda: readers(redis) == 0)


async def test_reader_in_another_event_loop_gets_its_message(make_layer: MakeLayer) -> None:
    sender, reader = make_layer(), make_layer()
    await sender.send("work", numbered(1))
    message = await soon(asyncio.to_thread(asyncio.run, reader.receive("work")))
    assert message == numbered(1)


# Bounds


async def test_no_more_is_taken_than_receivers_wait_for(
    make_layer: MakeLayer, redis: RedisServer, work: str
) -> None:
    layer, entered, goes_on = make_layer(), threading.Event(), threading.Event()

    async def receive_and_stand() -> Any:
        receiving = asyncio.create_task(layer.receive("work"))
        await asyncio.sleep(0)
        entered.set()
        goes_on.wait(DEADLINE)  # The loop of the receiver stands, that of the links does not.
        return await soon(receiving)

    await layer.new_channel()
    standing = asyncio.create_task(asyncio.to_thread(asyncio.run, receive_and_stand()))
    await asyncio.to_thread(entered.wait, DEADLINE)
    for number in range(5):
        await layer.send("work", numbered(number))
    await eventually(lambda: redis.ask("LLEN", work) == "4")
    await layer.send("work", numbered(5))
    assert redis.ask("LLEN", work) == "5"
    goes_on.set()
    assert (await soon(standing))["number"] == 0
    assert await numbers(make_layer(), 5) == [1, 2, 3, 4, 5]


async def test_full_channel_is_told_to_the_sender(make_layer: MakeLayer) -> None:
    sender = make_layer(capacity=2)
    await sender.send("work", numbered(0))
    await sender.send("work", numbered(1))
    with pytest.raises(ChannelFull):
        await sender.send("work", numbered(2))
    with pytest.raises(ChannelFull):
        await asyncio.to_thread(sender.send_now, "work", numbered(2))
    assert await numbers(sender, 2) == [0, 1]


async def test_what_a_group_has_for_a_full_channel_is_counted(make_layer: MakeLayer) -> None:
    sender = make_layer(capacity=1)
    await sender.group_add("group", "work")
    await sender.send("work", numbered(0))
    await sender.group_send("group", numbered(1))
    await eventually(lambda: sender.counts["dropped_full"] == 1)


async def test_expired_message_is_dropped_by_who_reads_it_and_counted(
    make_layer: MakeLayer, redis: RedisServer, work: str
) -> None:
    layer = make_layer()
    await layer.send("work", numbered(1))
    redis.ask("LPUSH", work, f"{OLD}old")
    assert await numbers(layer, 1) == [1]
    assert layer.counts["dropped_expired"] == 1


async def test_expired_message_makes_room_for_a_new_one_and_is_counted(
    make_layer: MakeLayer, redis: RedisServer, work: str
) -> None:
    layer = make_layer(capacity=1)
    redis.ask("RPUSH", work, f"{OLD}old")
    await layer.send("work", numbered(1))
    assert layer.counts["dropped_expired"] == 1
    assert await numbers(layer, 1) == [1]


async def test_message_is_kept_for_as_long_as_its_expiry(
    make_layer: MakeLayer, redis: RedisServer, work: str
) -> None:
    await make_layer(expiry=60).send("work", numbered(1))
    assert 50_000 < int(redis.ask("PTTL", work)) <= 60_000


# What goes wrong


async def test_what_is_no_message_is_counted_and_the_next_is_read(
    make_layer: MakeLayer, redis: RedisServer, work: str
) -> None:
    layer = make_layer()
    later = str(round(1000 * time.time()) + 60_000)
    redis.ask("RPUSH", work, f"{later}garbage", later)
    await layer.send("work", numbered(1))
    assert await numbers(layer, 1) == [1]
    assert sum(layer.relay.stats.dropped.values()) == 2


async def test_reader_goes_on_when_its_connection_was_cut(
    make_layer: MakeLayer, redis: RedisServer
) -> None:
    sender, reader = make_layer(), make_layer()
    reading = asyncio.create_task(reader.receive("work"))
    await eventually(lambda: readers(redis))
    redis.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    await sender.send("work", numbered(1))
    assert await soon(reading) == numbered(1)


async def test_flush_removes_what_waits(make_layer: MakeLayer, redis: RedisServer) -> None:
    sender, other = make_layer(), make_layer()
    await sender.send("work", numbered(1))
    await other.flush()
    await sender.send("work", numbered(2))
    assert await numbers(other, 1) == [2]
