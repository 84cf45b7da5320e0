"""What is sent from process to process arrives as it was, or its sender is told: nobody else is."""

from __future__ import annotations

import asyncio
import datetime
import math
import random
import struct
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import msgpack
import pytest

from arcly_channels.exceptions import EnvelopeError, UnportableMessage
from arcly_channels.layers import RedisChannelLayer
from arcly_channels.relay.contract import Kind
from arcly_channels.relay.link import command
from arcly_channels.relay.parcels import VERSION
from arcly_channels.testing.waiting import soon
from tests.redis_servers import RedisServer

ROOM = b"arcly:1:g:room"
LAST = {"type": "last"}
NODE = 7
"""A node that is neither of the two."""


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


class Line(NamedTuple):
    """Two layers as two processes have them, and the channel of a member at the far end."""

    near: RedisChannelLayer
    far: RedisChannelLayer
    channel: str
    problems: list[dict[str, Any]]
    """What was raised in the event loop, where nobody could catch it."""

    async def next(self) -> dict[str, Any]:
        message: dict[str, Any] = await soon(self.far.receive(self.channel))
        return message


@pytest.fixture
async def line(redis: RedisServer) -> AsyncIterator[Line]:
    near, far = (RedisChannelLayer(hosts=[redis.url]) for _ in range(2))
    channel = await far.new_channel()
    await far.group_add("room", channel)
    problems: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, problem: problems.append(problem))
    yield Line(near, far, channel, problems)
    await near.close()
    await far.close()


async def publish(redis: RedisServer, topic: bytes, *parcels: bytes) -> None:
    """Have somebody publish bytes who is no process of ours."""
    reader, writer = await asyncio.open_connection("127.0.0.1", redis.port)
    writer.write(b"".join(command(b"PUBLISH", topic, each) for each in parcels))
    for _ in parcels:
        assert await soon(reader.readline()) == b":1\r\n"
    writer.close()
    await writer.wait_closed()


def pack(body: object) -> bytes:
    return bytes(msgpack.packb(body))


def parcel(kind: int, content: bytes, *, at: float | None = None) -> bytes:
    head = (kind, NODE, 1, time.time() if at is None else at)
    return struct.pack("!BBBQQd", VERSION, 0, *head) + content


@pytest.mark.parametrize(
    "value",
    [
        pytest.param({1: "a", "b": 2}, id="int keys"),
        pytest.param(b"\x00\xff", id="bytes"),
        pytest.param([math.inf, -0.0, 1e300], id="floats"),
        pytest.param("\x00 é \U0001f642", id="text"),
        pytest.param(2**64 - 1, id="large int"),
        pytest.param(b"x" * 2**20, id="1 MB"),
        pytest.param("x" * (5 * 2**20), id="5 MB"),
    ],
)
async def test_value_arrives(line: Line, value: object) -> None:
    message = {"type": "message", "value": value}
    await line.near.group_send("room", message)
    assert await line.next() == message
    await line.near.send(line.channel, message)
    assert await line.next() == message


async def test_nan_arrives(line: Line) -> None:
    await line.near.group_send("room", {"type": "message", "value": math.nan})
    assert math.isnan((await line.next())["value"])


@pytest.mark.parametrize(
    "value",
    [
        datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc),
        {1, 2},
        2**64,
        "\ud800",
        object(),
    ],
    ids=["datetime", "set", "huge int", "half a pair", "object"],
)
async def test_sender_is_told_of_what_cannot_be_sent(line: Line, value: object) -> None:
    message = {"type": "message", "value": [value]}
    with pytest.raises(UnportableMessage, match=r"message\.value\[0\]"):
        await line.near.group_send("room", message)
    with pytest.raises(UnportableMessage):
        await line.near.send(line.channel, message)
    await line.near.group_send("room", LAST)
    assert await line.next() == LAST


@pytest.mark.parametrize(
    "data", [b"bytes", object(), "x" * 5 * 2**20], ids=["bytes", "object", "5 MB"]
)
async def test_sender_is_told_of_what_cannot_be_an_event(line: Line, data: object) -> None:
    event = {"type": "gateway.event", "event": "news", "data": data}
    with pytest.raises(EnvelopeError):
        await line.near.group_send("room", event)
    await line.near.group_send("room", LAST)
    assert await line.next() == LAST


async def test_large_event_arrives(line: Line) -> None:
    event = {"type": "gateway.event", "event": "news", "data": "x" * (2**20 - 100)}
    await line.near.group_send("room", event)
    assert await line.next() == event


@pytest.mark.parametrize(
    ("data", "why"),
    [
        pytest.param(b"", "garbage", id="nothing"),
        pytest.param(b"{}", "version", id="no parcel"),
        pytest.param(bytes([VERSION + 1]) + parcel(3, b"")[1:], "version", id="another version"),
        pytest.param(bytes([VERSION, 0]) + b"short", "garbage", id="cut short"),
        pytest.param(parcel(200, b""), "kind", id="unknown kind"),
        pytest.param(parcel(Kind.MESSAGE, b"\xc1"), "garbage", id="no body"),
        pytest.param(parcel(Kind.FRAME, b"\xff"), "garbage", id="no frame"),
        pytest.param(bytes([VERSION, 2]) + parcel(3, b"")[2:], "encryption", id="encrypted"),
        pytest.param(parcel(Kind.MESSAGE, b"\x01"), "garbage", id="no message"),
        pytest.param(parcel(Kind.MISSED, b"\x01"), "failed", id="no gap"),
        pytest.param(parcel(Kind.MISSED, pack(["a", "b"])), "failed", id="no times"),
        pytest.param(parcel(Kind.MISSED, pack([-math.inf, 0])), "failed", id="no beginning"),
        pytest.param(parcel(Kind.ASK, pack([])), "failed", id="no question"),
        pytest.param(parcel(Kind.SEND, pack(["a b", {}])), "failed", id="no channel"),
        pytest.param(parcel(Kind.SEND, pack(["a!b", 1])), "failed", id="no message for one"),
    ],
)
async def test_garbage_is_counted_and_harms_nobody(
    redis: RedisServer, line: Line, data: bytes, why: str
) -> None:
    await publish(redis, ROOM, data)
    await line.near.group_send("room", LAST)
    assert await line.next() == LAST
    assert +line.far.relay.stats.dropped == {why: 1}
    assert line.problems == []


@pytest.mark.parametrize("topic", [ROOM, b"arcly:1:c"], ids=["group", "everybody"])
async def test_no_garbage_whatever_stops_a_receiver(
    redis: RedisServer, line: Line, topic: bytes
) -> None:
    dice = random.Random(topic)
    bodies = [
        lambda: dice.randbytes(dice.randrange(40)),
        lambda: pack([dice.choice([None, 1, -1.5, "a", "a!b", b"b", [], {}, math.nan])]),
        lambda: pack([dice.choice(["a", 1, math.inf, None, {}]) for _ in range(4)]),
        lambda: pack({"type": dice.choice(["gateway.event", None]), "event": 1}),
    ]
    times = [None, math.nan, -math.inf, 1e300, 0.0]
    parcels = [
        parcel(dice.randrange(12), dice.choice(bodies)(), at=dice.choice(times)) for _ in range(500)
    ]
    await publish(redis, topic, *parcels)
    await line.near.group_send("room", LAST)
    while await line.next() != LAST:
        pass
    assert sum(line.far.relay.stats.dropped.values()) > 100
    assert line.problems == []
