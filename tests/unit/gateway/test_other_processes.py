"""Gateways whose layer reaches other processes: here that is a second layer on the same Redis.

Or on the same Redis Cluster, as long as nothing happens to it.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from channels.layers import channel_layers

from arcly_channels import (
    EventStream,
    GatewayConsumer,
    RelayUnanswered,
    RelayUnavailable,
    abroadcast,
    abroadcast_to_room,
    aconnection_count,
    adisconnect_user,
    aroom_size,
    asend_to,
    subscribe,
)
from arcly_channels.identity.tenancy import get_tenants
from arcly_channels.layers import RedisChannelLayer, news
from arcly_channels.relay.contract import Gap
from arcly_channels.testing import GatewayCommunicator
from arcly_channels.testing.waiting import DEADLINE, eventually, soon
from arcly_channels.wire.events import encode_event
from tests.redis_servers import RedisNode, RedisServer
from tests.streams import listening


class Chat(GatewayConsumer):
    async def on_connect(self) -> None:
        await self.join_room("tea")

    @subscribe("say")
    async def say(self, data: Any) -> None:
        await self.broadcast_to_room("tea", "said", data, exclude_self=True)

    @subscribe("join")
    async def join(self, data: Any) -> None:
        await self.join_room(data)

    async def on_gap(self, gap: Gap) -> None:
        await self.emit("missed", gap.until > gap.since)


class Client(GatewayCommunicator):
    """A client of a gateway in this process."""

    def __init__(self, gateway: type[GatewayConsumer] = Chat, *, is_v1: bool = False) -> None:
        super().__init__(gateway.as_asgi(), subprotocols=["arcly.v1"] if is_v1 else [])

    async def come(self) -> Client:
        """Connect, and return when it is in its room."""
        await self.connect()
        await self.settle()
        if self.welcome:
            await self.expect("gateway:joined")
        return self


@pytest.fixture
def prefix() -> str:
    return secrets.token_hex(4)


@pytest.fixture(params=["redis", "cluster"])
def server(request: pytest.FixtureRequest) -> RedisServer:
    server: RedisServer = request.getfixturevalue(request.param)
    return server


@pytest.fixture
async def layer(server: RedisServer, prefix: str) -> AsyncIterator[RedisChannelLayer]:
    """The layer of this process."""
    async with default_layer(server, prefix=prefix) as layer:
        yield layer


@pytest.fixture
async def other(server: RedisServer, prefix: str) -> AsyncIterator[RedisChannelLayer]:
    """The layer of another process."""
    layer = layer_on(server, prefix=prefix)
    yield layer
    await layer.close()


def layer_on(server: RedisServer, **config: Any) -> RedisChannelLayer:
    return RedisChannelLayer([server.url], cluster=isinstance(server, RedisNode), **config)


@asynccontextmanager
async def default_layer(server: RedisServer, **config: Any) -> AsyncIterator[RedisChannelLayer]:
    layer = layer_on(server, **config)
    channel_layers.set("default", layer)
    yield layer
    await layer.close()
    del channel_layers.backends["default"]


# What other processes send


async def test_client_hears_what_another_process_sends_to_its_room(
    layer: RedisChannelLayer, other: RedisChannelLayer
) -> None:
    client = await Client().come()
    await other.publish("tea", encode_event("said", 1, room="tea"))
    await client.expect("said", 1)


async def test_client_of_v1_is_told_the_room(
    layer: RedisChannelLayer, other: RedisChannelLayer
) -> None:
    client = await Client(is_v1=True).come()
    await other.publish("tea", encode_event("said", 1, room="tea"))
    await client.expect("said", 1, room="tea")


async def test_clients_hear_what_is_for_all_or_for_one(
    layer: RedisChannelLayer, other: RedisChannelLayer
) -> None:
    client = await Client().come()
    (row,) = layer.registry
    await other.publish(None, encode_event("for all", 1))
    await other.send(row.channel, {"type": "gateway.event", "event": "for one", "data": 2})
    await other.group_send("tea", {"type": "gateway.event", "event": "for a group", "data": 3})
    for event in ("for all", "for one", "for a group"):
        await client.expect(event)


async def test_functions_reach_clients_as_with_one_process(layer: RedisChannelLayer) -> None:
    client = await Client().come()
    (row,) = layer.registry
    await abroadcast("a", 1)
    await abroadcast_to_room("tea", "b", 2)
    await asend_to(row.channel, "c", 3)
    for event, data in (("a", 1), ("b", 2), ("c", 3)):
        await client.expect(event, data)


async def test_sender_that_is_left_out_hears_nothing_of_its_own(layer: RedisChannelLayer) -> None:
    sender, member = await Client().come(), await Client().come()
    await sender.emit("say", "hello")
    await member.expect("said", "hello")
    await abroadcast_to_room("tea", "next")
    await sender.expect("next")


@pytest.mark.parametrize("self_delivery", ["relay", "local"])
async def test_own_events_come_once(redis: RedisServer, prefix: str, self_delivery: str) -> None:
    async with default_layer(redis, prefix=prefix, self_delivery=self_delivery):
        client = await Client().come()
        for number in range(20):
            await abroadcast_to_room("tea", "count", number)
        for number in range(20):
            await client.expect("count", number)
        await client.expect_nothing()


async def test_messages_are_encrypted(redis: RedisServer, prefix: str) -> None:
    async with default_layer(redis, prefix=prefix, symmetric_encryption_keys=["new", "old"]):
        client = await Client().come()
        other = RedisChannelLayer(
            hosts=[redis.url], prefix=prefix, symmetric_encryption_keys=["old"]
        )
        stranger = RedisChannelLayer(hosts=[redis.url], prefix=prefix)
        await stranger.publish("tea", encode_event("forged", 1))
        await other.publish("tea", encode_event("said", 1))
        await client.expect("said")
        await other.close()
        await stranger.close()


# Who is there


async def test_clients_of_all_processes_are_counted(
    layer: RedisChannelLayer, other: RedisChannelLayer
) -> None:
    clients = [await Client().come() for _ in "ab"]
    assert await other.group_size("tea") == await aroom_size("tea") == len(clients)
    assert await other.connection_count() == await aconnection_count() == len(clients)
    assert await other.group_size("coffee") == 0


async def test_process_that_does_not_answer_is_named_as_missing(
    layer: RedisChannelLayer, other: RedisChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(what: str, about: Any) -> None:
        await asyncio.Event().wait()

    await layer.relay.follow()
    monkeypatch.setattr(layer.relay._questions, "_answer", never)
    with pytest.raises(RelayUnanswered) as error:
        await other.group_size("tea")
    assert (error.value.answers, error.value.missing) == ([], 1)


async def test_client_is_kicked_by_another_process(
    layer: RedisChannelLayer, other: RedisChannelLayer
) -> None:
    client = await Client().come()
    assert await other.close_group("tea", 4403, "out") == 0  # Of that process.
    await client.expect_close(4403)


async def test_client_on_its_way_in_meets_what_another_process_has_closed(
    layer: RedisChannelLayer, other: RedisChannelLayer
) -> None:
    await layer.relay.follow()
    await other.close_group("not joined yet", 4403, "out")
    await eventually(lambda: layer.closings.since(0, ["not joined yet"]))


async def test_admin_closes_a_socket_of_another_process(
    layer: RedisChannelLayer, other: RedisChannelLayer
) -> None:
    client = await Client().come()
    (row,) = layer.registry
    close = other.close_one_now
    assert await asyncio.to_thread(close, f"{layer.node}-{row.id}", 4403)
    await client.expect_close(4403)
    assert not await asyncio.to_thread(close, f"{layer.node}-{row.id}", 4403)
    assert not await asyncio.to_thread(close, f"{'0' * 16}-1", 4403)


async def test_news_of_a_tenant_reach_other_processes(
    layer: RedisChannelLayer, other: RedisChannelLayer, settings: Any
) -> None:
    settings.ARCLY_CHANNELS = {"TENANTS": ["acme"], "TENANT_STRATEGY": {"HEADER": "X-Tenant"}}
    await layer.relay.follow()
    suspended = {"id": "acme", "name": "", "suspended": True}
    other.tell_all("tenant", suspended)
    await eventually(lambda: not get_tenants().is_serving("acme"))
    other.tell_all("tenant", {**suspended, "suspended": False})
    await eventually(lambda: get_tenants().is_serving("acme"))


async def test_suspension_is_told_to_other_processes(
    layer: RedisChannelLayer,
    other: RedisChannelLayer,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[Any] = []
    settings.ARCLY_CHANNELS = {"TENANTS": ["acme"], "TENANT_STRATEGY": {"HEADER": "X-Tenant"}}
    await other.relay.follow()
    monkeypatch.setitem(news._listeners, "tenant", told.append)
    assert get_tenants().suspend("acme")
    await eventually(lambda: told)
    assert told == [{"id": "acme", "name": "", "suspended": True}]


# Gaps


async def test_clients_are_told_of_a_gap(redis: RedisServer, prefix: str) -> None:
    async with default_layer(redis, prefix=prefix) as layer:
        bare, v1 = await Client().come(), await Client(is_v1=True).come()
        await cut_off(redis, layer)
        await bare.expect("missed", True)
        gap = await v1.expect("gateway:gap")
        assert gap["room"] is None
        assert gap["since"] < gap["until"]
        await v1.expect("missed")
        assert layer.relay.stats.gaps == 1


async def test_sockets_are_closed_at_a_gap(redis: RedisServer, prefix: str) -> None:
    async with default_layer(redis, prefix=prefix, on_gap="close") as layer:
        client = await Client().come()
        await cut_off(redis, layer)
        await client.expect_close(4010)


async def test_gap_may_be_ignored(redis: RedisServer, prefix: str) -> None:
    async with default_layer(redis, prefix=prefix, on_gap="ignore") as layer:
        client = await Client(is_v1=True).come()
        await cut_off(redis, layer)
        await eventually(lambda: layer.relay.stats.gaps)
        await abroadcast_to_room("tea", "next")
        await client.expect("next")


async def cut_off(redis: RedisServer, layer: RedisChannelLayer) -> None:
    """Have Redis cut the link by which a layer hears."""
    shard = next(iter(layer.relay.home.shards or ()))
    first = shard.subscriber.connector.link
    await asyncio.to_thread(redis.ask, "CLIENT", "KILL", "TYPE", "pubsub")
    await eventually(lambda: shard.subscriber.connector.link not in (None, first))


# Without Redis


async def gone(redis: RedisServer, layer: RedisChannelLayer) -> None:
    """End Redis, and return once that is seen."""
    redis.kill()
    await eventually(lambda: list(layer.problems()))


async def test_clients_of_a_process_hear_each_other_while_redis_is_gone() -> None:
    with RedisServer() as redis:
        async with default_layer(redis) as layer:
            client = await Client().come()
            await gone(redis, layer)
            assert dict(layer.problems()).keys() == {"relay"}
            await abroadcast_to_room("tea", "said", 1)
            await client.expect("said", 1)
            newcomer = await Client().come()
            await abroadcast_to_room("tea", "said", 2)
            await client.expect("said", 2)
            await newcomer.expect("said", 2)


async def test_process_without_clients_is_told_that_it_reaches_nobody() -> None:
    with RedisServer() as redis:
        async with default_layer(redis) as layer:
            await abroadcast_to_room("tea", "said")
            await gone(redis, layer)
            with pytest.raises(RelayUnavailable):
                await abroadcast_to_room("tea", "said")


async def test_kick_that_does_not_reach_the_others_is_an_error_when_it_is_done_here() -> None:
    with RedisServer() as redis:
        async with default_layer(redis) as layer:
            await layer.relay.follow()
            client = await Client().come()
            await gone(redis, layer)
            with pytest.raises(RelayUnavailable):
                await layer.close_group("tea", 4403)
            await client.expect_close(4403)


async def test_client_is_answered_with_unavailable_when_its_room_is_not_heard() -> None:
    with RedisServer() as redis:
        async with default_layer(redis):
            client = await Client().come()
            redis.pause()
            try:
                await client.emit("join", "coffee")
                await client.expect_error("unavailable")
            finally:
                redis.resume()


async def test_client_is_told_that_nobody_knows_whether_others_were_reached() -> None:
    with RedisServer() as redis:
        async with default_layer(redis):
            client = await Client().come()
            redis.pause()
            try:
                await client.emit("say")
                await client.expect_error("outcome_unknown")
            finally:
                redis.resume()


async def test_client_is_closed_without_a_traceback_where_a_hook_did_not_reach_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Announced(GatewayConsumer):
        async def on_connect(self) -> None:
            redis.pause()
            await self.broadcast("came in")

        async def on_disconnect(self, code: int) -> None:
            await self.broadcast("left")

    with RedisServer() as redis:
        async with default_layer(redis) as layer:
            await layer.new_channel()
            await eventually(lambda: layer.relay.look().links == 2)
            client = Client(Announced)
            try:
                await client.connect()
                await client.expect_close(1011)
                await client.disconnect(timeout=DEADLINE)
            finally:
                redis.resume()
    told = [each.getMessage() for each in caplog.records if each.levelname == "ERROR"]
    assert [each.split(" ", 1)[0].rpartition(".")[2] for each in told] == [
        "on_connect",
        "on_disconnect",
    ]
    assert all(each.exc_info is None for each in caplog.records)


async def test_stream_that_would_not_hear_its_rooms_is_closed_and_may_come_back() -> None:
    with RedisServer() as redis:
        async with default_layer(redis), listening(EventStream.as_asgi()) as other:
            await other.receive()  # What is for everybody is heard by now.
            redis.pause()
            try:
                async with listening(EventStream.as_asgi(rooms=["tea"])) as listener:
                    frames = [await listener.receive() for _ in range(2)]
            finally:
                redis.resume()
    assert [each["event"] for each in frames] == ["gateway:welcome", "gateway:bye"]
    assert frames[1]["data"]["reconnect"] == "yes"


async def test_client_that_would_not_be_heard_of_is_closed_and_may_come_back() -> None:
    with RedisServer() as redis:
        async with default_layer(redis) as layer:
            await layer.new_channel()
            redis.pause()
            try:
                client = Client()
                await client.connect()
                await client.expect_close(1011)
            finally:
                redis.resume()
            assert len(layer.registry) == 0


async def test_gap_begins_when_redis_went_and_is_told_when_it_is_back() -> None:
    with RedisServer() as redis:
        async with default_layer(redis) as layer:
            client = await Client(is_v1=True).come()
            await gone(redis, layer)
            await abroadcast_to_room("tea", "said")  # To this process only.
            redis.start()
            await client.expect("said")
            await client.expect("gateway:gap")
            assert await soon(aroom_size("tea")) == 1


async def test_user_is_disconnected_here_and_elsewhere(
    layer: RedisChannelLayer, other: RedisChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(other._delivery, "close", lambda group, code, reason: told.append(reason))
    await other.relay.follow()
    assert await adisconnect_user("ann") == 0
    await eventually(lambda: told)
    assert told == ["the user was disconnected"]
