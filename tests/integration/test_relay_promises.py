"""What a layer over Redis promises where the ways to Redis are slow, narrow, or refused."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest

from arcly_channels.exceptions import RelayError, RelayOutcomeUnknown, RelayUnavailable
from arcly_channels.layers import RedisChannelLayer
from arcly_channels.relay import gaps, inspection, letters
from arcly_channels.relay.contract import Gap
from arcly_channels.testing.waiting import eventually, soon
from tests.proxy import Proxy
from tests.redis_servers import RedisServer


class Layer(RedisChannelLayer):
    """One that notes the gaps that it is told of."""

    def __init__(self, *urls: str, **config: Any) -> None:
        super().__init__(hosts=list(urls), **config)
        self.gaps: list[Gap] = []

    def tell_gap(self, gap: Gap) -> None:
        self.gaps.append(gap)


MakeLayer = Callable[..., Layer]


@pytest.fixture
async def make_layer() -> AsyncIterator[MakeLayer]:
    prefix, made = secrets.token_hex(4), list[Layer]()

    def make(*urls: str, **config: Any) -> Layer:
        made.append(Layer(*urls, prefix=prefix, **config))
        return made[-1]

    yield make
    for layer in made:
        await layer.close()


async def member(layer: Layer, group: str = "room") -> str:
    """Return a new channel that is in a group."""
    channel = await layer.new_channel()
    await layer.group_add(group, channel)
    return channel


async def sent(layer: Layer, message: dict[str, Any]) -> None:
    """Return once a message to the room is sent for certain."""
    while True:
        with suppress(RelayError):
            await layer.group_send("room", message)
            return


async def all_of(layer: Layer, channel: str, last: int) -> list[int]:
    """Return the numbers that arrive on a channel, until the last."""
    numbers: list[int] = []
    while last not in numbers:
        numbers.append((await soon(layer.receive(channel)))["number"])
    return numbers


async def test_others_are_told_of_what_was_more_than_redis_takes(
    redis: RedisServer, make_layer: MakeLayer
) -> None:
    near, far = make_layer(redis.url), make_layer(redis.url)
    await member(near)
    await member(far)

    for _ in range(12_000):
        near.group_send_now("room", {"type": "flood"})

    await eventually(lambda: far.gaps)
    assert near.relay.stats.dropped["crowded"] > 0


async def test_others_are_told_of_what_redis_has_refused_once_it_does_not(
    redis: RedisServer, make_layer: MakeLayer, caplog: pytest.LogCaptureFixture
) -> None:
    name = secrets.token_hex(4)
    redis.ask("ACL", "SETUSER", name, "on", ">secret", "~*", "&*", "+@all", "-publish")
    near = make_layer(f"redis://{name}:secret@127.0.0.1:{redis.port}")
    far = make_layer(redis.url)
    await member(near)
    await member(far)

    await near.group_send("room", {"type": "refused"})
    assert "reaches only this one" in caplog.text
    redis.ask("ACL", "SETUSER", name, "+publish")

    await eventually(lambda: far.gaps)


async def test_a_black_hole_on_the_way_out_is_found(
    redis: RedisServer, make_layer: MakeLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "ROLE_INTERVAL", 1.0)
    with Proxy(redis.port) as proxy:
        layer = make_layer(proxy.url)
        channel = await member(layer)
        await layer.group_send("room", {"type": "by the first link"})
        assert await soon(layer.receive(channel)) == {"type": "by the first link"}

        assert proxy.swallow(lambda passage: not passage.has_subscribed) == 1
        with pytest.raises(RelayOutcomeUnknown):
            await layer.group_send("room", {"type": "swallowed"})

        await soon(sent(layer, {"type": "by the next link"}))
        assert await soon(layer.receive(channel)) == {"type": "by the next link"}


async def test_a_black_hole_on_both_ways_is_found(
    redis: RedisServer, make_layer: MakeLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "ROLE_INTERVAL", 1.0)
    with Proxy(redis.port) as proxy:
        layer, other = make_layer(proxy.url), make_layer(redis.url)
        channel = await member(layer)

        assert proxy.swallow(lambda passage: True) == 2
        await other.group_send("room", {"type": "swallowed"})

        await eventually(lambda: layer.gaps)
        await soon(sent(layer, {"type": "by the next links"}))
        assert await soon(layer.receive(channel)) == {"type": "by the next links"}


async def test_work_that_redis_has_no_memory_for_is_told_to_its_sender(
    redis: RedisServer, make_layer: MakeLayer
) -> None:
    layer = make_layer(redis.url)
    channel = await member(layer)
    redis.ask("CONFIG", "SET", "maxmemory", "1")
    try:
        with pytest.raises(RelayUnavailable, match="OOM"):
            await layer.send("work", {"type": "work"})
        await layer.group_send("room", {"type": "needs no memory"})
        assert await soon(layer.receive(channel)) == {"type": "needs no memory"}
    finally:
        redis.ask("CONFIG", "SET", "maxmemory", "0")
    assert not list(layer.problems())


async def test_what_comes_back_very_late_is_delivered_once_nevertheless(
    redis: RedisServer, make_layer: MakeLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letters, "MAX_EXPECTED", 10)
    with Proxy(redis.port) as proxy:
        layer = make_layer(proxy.url)
        channel = await member(layer)
        proxy.delay_down = 0.2

        sends = (layer.group_send("room", {"type": "n", "number": n}) for n in range(50))
        await asyncio.gather(*sends)
        await layer.group_send("room", {"type": "n", "number": 50})

        assert await all_of(layer, channel, 50) == [*range(51)]


@pytest.mark.parametrize("self_delivery", ["relay", "local"])
async def test_workers_get_a_message_for_their_group_once(
    redis: RedisServer, make_layer: MakeLayer, self_delivery: str
) -> None:
    near, far = (make_layer(redis.url, self_delivery=self_delivery) for _ in range(2))
    await near.group_add("room", "work")
    await far.group_add("room", "work")

    for number in range(3):
        await near.group_send("room", {"type": "n", "number": number})
    await near.group_size("room")  # The other process has done its part when it answers, …
    await near.send("work", {"type": "n", "number": 99})

    assert sorted(await all_of(near, "work", 99)) == [0, 1, 2, 99]


async def test_a_join_that_fails_on_one_server_leaves_nothing_on_the_other(
    redis: RedisServer, make_layer: MakeLayer
) -> None:
    with RedisServer() as other:
        layer = make_layer(redis.url, other.url)
        await layer.new_channel()
        await eventually(lambda: layer.relay.look().links == 4)
        rooms = [f"room{number}" for number in range(20)]

        other.pause()
        with pytest.raises(RelayError):
            await layer.relay.follow(*rooms)
        other.resume()

        await eventually(lambda: layer.relay.look().subscriptions == 4)  # Its own.


async def test_joins_that_are_cancelled_in_another_loop_leave_nothing(
    redis: RedisServer, make_layer: MakeLayer
) -> None:
    layer = make_layer(redis.url)
    await layer.new_channel()

    async def join_and_cancel() -> None:
        joins = [asyncio.ensure_future(layer.relay.follow(f"room{n}")) for n in range(50)]
        for number, join in enumerate(joins):
            await asyncio.sleep(0.0001 * (number % 5))
            join.cancel()
            with suppress(asyncio.CancelledError):
                await join
                layer.relay.unfollow(f"room{number}")

    await asyncio.to_thread(asyncio.run, join_and_cancel())

    await eventually(lambda: layer.relay.look().subscriptions == 3)  # Its own.


async def test_who_may_not_subscribe_is_told_why(
    redis: RedisServer, make_layer: MakeLayer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    name = secrets.token_hex(4)
    redis.ask("ACL", "SETUSER", name, "on", ">secret", "~*", "&*", "+@all", "-subscribe")
    layer = make_layer(f"redis://{name}:secret@127.0.0.1:{redis.port}")

    with suppress(RelayError):
        await layer.new_channel()

    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 1
    assert "refuses to be listened to: NOPERM" in told[0]
    assert [what for what, _ in layer.problems()] == ["relay"]

    redis.ask("ACL", "SETUSER", name, "+subscribe")
    await eventually(lambda: not list(layer.problems()))


async def test_a_gap_is_told_although_more_is_missing_all_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gaps, "SETTLE", 3600.0)
    monkeypatch.setattr(gaps, "LONGEST", 0.05)
    told: list[Gap] = []
    missing = gaps.Gaps(told.append)

    missing.add(1.0, 2.0, "first")
    missing.add(2.0, 3.0, "second")

    await eventually(lambda: told)
    assert told[0].since == 1.0
    assert told[0].why == "first"


async def test_a_gap_does_not_end_before_it_begins_though_the_clock_is_set_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gaps, "SETTLE", 0.0)
    told: list[Gap] = []
    now = time.time()

    gaps.Gaps(told.append).add(now + 3600, now, "the link was lost")

    await eventually(lambda: told)
    assert (told[0].since, told[0].until) == (now + 3600, now + 3600)
