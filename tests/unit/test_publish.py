"""Events to the clients of gateways from anywhere in Django."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from channels.layers import InMemoryChannelLayer, channel_layers
from django.core.exceptions import ImproperlyConfigured

from arcly_channels import (
    EnvelopeError,
    InvalidRoom,
    abroadcast,
    abroadcast_to_room,
    asend_to,
    broadcast,
    broadcast_to_room,
    send_to,
    subscribe,
)
from arcly_channels.layers import LocalChannelLayer
from arcly_channels.testing.waiting import DEADLINE, soon
from tests.gateways import Recorded, Socket, connected

pytestmark = pytest.mark.usefixtures("layer")


class Room(Recorded):
    """A gateway whose clients are all in the room "room"."""

    async def on_connect(self) -> None:
        await super().on_connect()
        await self.join_room("room")


@pytest.fixture
def gateway() -> type[Room]:
    class ThisRoom(Room):
        pass

    return ThisRoom


@pytest.fixture
async def socket(gateway: type[Room]) -> AsyncIterator[Socket]:
    async with connected(gateway.as_asgi()) as socket:
        yield socket


@pytest.fixture
async def of_tenant(gateway: type[Room]) -> AsyncIterator[Socket]:
    """A client of the tenant "acme"."""
    async with connected(gateway.as_asgi(), tenant="acme") as socket:
        yield socket


def in_thread(work: Callable[[], object]) -> None:
    """Run `work` in a plain thread, and have this one with its event loop stand still."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(DEADLINE)
    assert not thread.is_alive()


# From where


async def test_broadcast_from_a_running_loop(socket: Socket) -> None:
    broadcast("news", [1])
    await socket.expect("news", [1])


async def test_broadcast_from_a_plain_thread(socket: Socket) -> None:
    in_thread(lambda: broadcast("news", [1]))
    await socket.expect("news", [1])


async def test_broadcast_from_a_sync_view(socket: Socket) -> None:
    await sync_to_async(broadcast)("news", [1])
    await socket.expect("news", [1])


async def test_broadcast_from_another_loop(socket: Socket) -> None:
    in_thread(lambda: asyncio.run(abroadcast("news", [1])))
    await socket.expect("news", [1])


async def test_broadcast_by_async_to_sync(socket: Socket) -> None:
    in_thread(lambda: async_to_sync(abroadcast)("news", [1]))
    await socket.expect("news", [1])


async def test_abroadcast_from_the_loop_of_the_sockets(socket: Socket) -> None:
    await abroadcast("news", [1])
    await socket.expect("news", [1])


async def test_events_of_one_thread_keep_their_order(socket: Socket) -> None:
    def send() -> None:
        for number in range(50):
            broadcast("news", number)

    in_thread(send)
    assert [(await socket.receive_event())[1] for _ in range(50)] == list(range(50))


async def test_handler_may_broadcast_by_the_plain_functions() -> None:
    class Answering(Recorded):
        @subscribe("ask")
        async def ask(self, data: Any) -> None:
            broadcast("first")
            await abroadcast("second")
            await self.emit("third")

    async with connected(Answering.as_asgi()) as socket:
        await socket.emit("ask")
        events = [(await socket.receive_event())[0] for _ in range(3)]
    assert events == ["first", "second", "third"]


def test_broadcast_to_nobody_is_nothing() -> None:
    broadcast("news")
    broadcast_to_room("room", "news")


# To whom


async def test_broadcast_reaches_every_client(gateway: type[Room], socket: Socket) -> None:
    async with connected(gateway.as_asgi()) as other:
        broadcast("news")
        assert [await each.receive_event() for each in (socket, other)] == [("news", None)] * 2


async def test_broadcast_stays_out_of_tenants(socket: Socket, of_tenant: Socket) -> None:
    broadcast("news")
    await abroadcast("news")
    await of_tenant.expect_nothing()


async def test_broadcast_to_a_tenant_stays_within(socket: Socket, of_tenant: Socket) -> None:
    broadcast("sync", tenant="acme")
    await abroadcast("async", tenant="acme")
    assert [(await of_tenant.receive_event())[0] for _ in "ab"] == ["sync", "async"]
    await socket.expect_nothing()


async def test_broadcast_can_cross_tenants(socket: Socket, of_tenant: Socket) -> None:
    broadcast("sync", all_tenants=True)
    await abroadcast("async", all_tenants=True)
    for each in (socket, of_tenant):
        assert [(await each.receive_event())[0] for _ in "ab"] == ["sync", "async"]


async def test_room_broadcast_reaches_the_room(socket: Socket) -> None:
    broadcast_to_room("room", "sync", 1)
    await abroadcast_to_room("room", "async", 2)
    assert [await socket.receive_event() for _ in "ab"] == [("sync", 1), ("async", 2)]


async def test_room_broadcast_reaches_nobody_outside(socket: Socket) -> None:
    broadcast_to_room("other", "sync")
    await abroadcast_to_room("other", "async")
    await socket.expect_nothing()


async def test_room_broadcast_reaches_the_room_of_its_tenant_alone(
    socket: Socket, of_tenant: Socket
) -> None:
    broadcast_to_room("room", "sync", tenant="acme")
    await abroadcast_to_room("room", "async", tenant="acme")
    assert [(await of_tenant.receive_event())[0] for _ in "ab"] == ["sync", "async"]
    await socket.expect_nothing()


async def test_event_for_one_client_reaches_it_alone(gateway: type[Room], socket: Socket) -> None:
    async with connected(gateway.as_asgi()) as other:
        send_to(gateway.instances[0].channel_name, "sync", 1)
        await asend_to(gateway.instances[0].channel_name, "async", 2)
        assert [await socket.receive_event() for _ in "ab"] == [("sync", 1), ("async", 2)]
        await other.expect_nothing()


async def test_event_for_one_client_from_a_plain_thread(
    gateway: type[Room], socket: Socket
) -> None:
    in_thread(lambda: send_to(gateway.instances[0].channel_name, "news"))
    await socket.expect("news", None)


async def test_event_for_a_channel_that_is_no_gateways_is_a_message(
    layer: LocalChannelLayer,
) -> None:
    send_to("plain", "news", 1)
    message = {"type": "gateway.event", "event": "news", "data": 1}
    assert await soon(layer.receive("plain")) == message


# By the layer


async def test_group_send_of_an_event_reaches_the_room(
    layer: LocalChannelLayer, socket: Socket
) -> None:
    await layer.group_send("room", {"type": "gateway.event", "event": "news", "data": 1})
    await socket.expect("news", 1)


async def test_group_send_of_an_event_from_a_plain_thread(
    layer: LocalChannelLayer, socket: Socket
) -> None:
    message = {"type": "gateway.event", "event": "news", "data": 1}
    in_thread(lambda: async_to_sync(layer.group_send)("room", message))
    await socket.expect("news", 1)


async def test_send_of_an_event_reaches_the_client(
    gateway: type[Room], layer: LocalChannelLayer, socket: Socket
) -> None:
    message = {"type": "gateway.event", "event": "news", "data": 1}
    await layer.send(gateway.instances[0].channel_name, message)
    await socket.expect("news", 1)


async def test_events_by_different_ways_keep_their_order(
    gateway: type[Room], layer: LocalChannelLayer, socket: Socket
) -> None:
    broadcast("news", 0)
    await layer.group_send("room", {"type": "gateway.event", "event": "news", "data": 1})
    send_to(gateway.instances[0].channel_name, "news", 2)
    await gateway.instances[0].emit("news", 3)
    await abroadcast_to_room("room", "news", 4)
    assert [(await socket.receive_event())[1] for _ in range(5)] == list(range(5))


async def test_events_from_outside_run_no_handler(layer: LocalChannelLayer) -> None:
    dispatched: list[str] = []

    class Counting(Room):
        async def dispatch(self, message: dict[str, Any]) -> None:
            dispatched.append(message["type"])
            await super().dispatch(message)

    async with connected(Counting.as_asgi()) as socket:
        broadcast("news")
        await layer.group_send("room", {"type": "gateway.event", "event": "news"})
        send_to(Counting.instances[0].channel_name, "news")
        for _ in range(3):
            await socket.receive_event()
        assert dispatched == ["websocket.connect"]


# Refusals


async def test_data_that_cannot_be_written_is_refused_and_sent_to_nobody(socket: Socket) -> None:
    with pytest.raises(EnvelopeError, match=r"data\.a cannot be sent"):
        broadcast("news", {"a": object()})
    with pytest.raises(EnvelopeError, match=r"data\.a cannot be sent"):
        broadcast_to_room("room", "news", {"a": object()})
    await socket.expect_nothing()


async def test_data_that_cannot_be_written_is_refused_in_async_code(socket: Socket) -> None:
    for sending in (
        abroadcast("news", object()),
        abroadcast_to_room("room", "news", object()),
        asend_to("channel", "news", object()),
    ):
        with pytest.raises(EnvelopeError):
            await sending
    await socket.expect_nothing()


@pytest.mark.parametrize("event", ["", None, 1])
def test_event_without_a_name_is_refused(event: Any) -> None:
    with pytest.raises(EnvelopeError):
        broadcast(event)


@pytest.mark.parametrize("room", ["", None, 1, "x" * 201])
async def test_bad_room_is_refused(room: Any) -> None:
    with pytest.raises(InvalidRoom):
        broadcast_to_room(room, "news")
    with pytest.raises(InvalidRoom):
        await abroadcast_to_room(room, "news")


@pytest.mark.parametrize("tenant", ["", 1])
def test_bad_tenant_is_refused(tenant: Any) -> None:
    with pytest.raises(TypeError, match="a tenant is"):
        broadcast("news", tenant=tenant)


def test_bad_channel_is_refused() -> None:
    with pytest.raises(TypeError):
        send_to("no channel!a!b", "news")


def test_layer_that_is_not_ours_is_improperly_configured() -> None:
    channel_layers.set("default", InMemoryChannelLayer())
    with pytest.raises(ImproperlyConfigured, match="a layer of arcly_channels"):
        broadcast("news")
