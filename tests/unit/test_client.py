"""`ClientHandle`: used from anywhere, and for as long as one likes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
from asgiref.sync import async_to_sync

from arcly_channels import (
    ClientHandle,
    EnvelopeError,
    EventRefused,
    InvalidRoom,
    broadcast_to_room,
    group_name,
    subscribe,
)
from arcly_channels.fanout.audience import One
from arcly_channels.layers import LocalChannelLayer
from arcly_channels.testing.waiting import eventually, soon
from tests.gateways import Recorded, Socket, StuckServer, connected

if TYPE_CHECKING:
    from pytest_django import Settings


@pytest.fixture
def gateway(layer: LocalChannelLayer) -> type[Recorded]:
    class Gateway(Recorded):
        pass

    return Gateway


@pytest.fixture
async def socket(gateway: type[Recorded]) -> AsyncIterator[Socket]:
    async with connected(gateway.as_asgi()) as socket:
        yield socket


@pytest.fixture
def client(gateway: type[Recorded], socket: Socket) -> ClientHandle:
    """The handle to the client at `socket`."""
    handle: ClientHandle = gateway.instances[0].client
    return handle


@pytest.fixture
async def gone(gateway: type[Recorded]) -> ClientHandle:
    """A handle whose socket is gone."""
    async with connected(gateway.as_asgi()):
        handle: ClientHandle = gateway.instances[0].client
    return handle


async def use(client: ClientHandle) -> None:
    """Call every method that sends or changes something."""
    await client.join_room("room")
    await client.emit("emitted")
    await client.broadcast_to_room("room", "to the room")
    await client.broadcast("to all")
    await client.leave_room("room")


ALL = ["emitted", "to the room", "to all"]


async def events(socket: Socket, number: int) -> list[str]:
    return [(await socket.receive_event())[0] for _ in range(number)]


# What it knows


async def test_handle_has_the_id_of_its_connection(
    gateway: type[Recorded], client: ClientHandle
) -> None:
    assert client.id == gateway.instances[0].id == gateway.connects[0]


async def test_handle_has_claims_and_tenant(gateway: type[Recorded]) -> None:
    async with connected(gateway.as_asgi(), claims={"sub": "ann"}, tenant="acme"):
        client = gateway.instances[0].client
    assert (client.claims, client.tenant) == ({"sub": "ann"}, "acme")


async def test_handle_is_the_same_every_time(gateway: type[Recorded], client: ClientHandle) -> None:
    assert gateway.instances[0].client is client


async def test_handle_shows_its_id_and_whether_it_is_gone(gone: ClientHandle) -> None:
    assert repr(gone) == f"<ClientHandle {gone.id} (gone)>"


async def test_handle_knows_what_waits_for_a_client_that_does_not_read(
    gateway: type[Recorded],
) -> None:
    server = StuckServer(gateway.as_asgi())
    await eventually(lambda: gateway.connects)
    client = gateway.instances[0].client
    for _ in range(3):
        await client.emit("news")  # The first is on its way, and waits no longer.
    await eventually(lambda: client.pending_frames == 2)
    assert client.pending_bytes == 2 * len('{"event":"news","data":null}')
    server.task.cancel()


# From where


async def test_handle_in_another_task(client: ClientHandle, socket: Socket) -> None:
    await asyncio.create_task(use(client))
    assert await events(socket, 3) == ALL


async def test_handle_in_a_thread(client: ClientHandle, socket: Socket) -> None:
    await asyncio.to_thread(lambda: async_to_sync(use)(client))
    assert await events(socket, 3) == ALL


async def test_handle_in_another_loop(client: ClientHandle, socket: Socket) -> None:
    await asyncio.to_thread(lambda: asyncio.run(use(client)))
    assert await events(socket, 3) == ALL


async def test_handle_can_be_excluded(
    gateway: type[Recorded], client: ClientHandle, socket: Socket
) -> None:
    async with connected(gateway.as_asgi()) as other:
        for each in gateway.instances:
            await each.join_room("room")
        await client.broadcast("to all", exclude_self=True)
        await client.broadcast_to_room("room", "to the room", exclude_self=True)
        assert await events(other, 2) == ["to all", "to the room"]
        await socket.expect_nothing()


async def test_handle_can_cross_tenants(
    gateway: type[Recorded], client: ClientHandle, socket: Socket
) -> None:
    async with connected(gateway.as_asgi(), tenant="acme") as other:
        await client.broadcast("to all", all_tenants=True)
        assert await events(other, 1) == ["to all"]


async def test_left_room_is_left(client: ClientHandle, socket: Socket) -> None:
    await client.join_room("room")
    await client.leave_room("room")
    await client.broadcast_to_room("room", "to the room")
    await socket.expect_nothing()


# Refusals


async def test_data_that_cannot_be_written_is_refused(client: ClientHandle, socket: Socket) -> None:
    for sending in (
        client.emit("news", object()),
        client.broadcast("news", object()),
        client.broadcast_to_room("room", "news", object()),
    ):
        with pytest.raises(EnvelopeError):
            await sending
    await socket.expect_nothing()


@pytest.mark.parametrize("room", ["", None, "x" * 201])
async def test_bad_room_is_refused(client: ClientHandle, room: Any) -> None:
    for using in (
        client.join_room(room),
        client.leave_room(room),
        client.broadcast_to_room(room, "news"),
    ):
        with pytest.raises(InvalidRoom):
            await using
    with pytest.raises(InvalidRoom):
        client.is_in_room(room)


async def test_handle_knows_in_which_rooms_it_is(client: ClientHandle) -> None:
    assert not client.is_in_room("tea")
    await client.join_room("tea")
    assert client.is_in_room("tea")
    assert not client.is_in_room("garden")
    await client.leave_room("tea")
    assert not client.is_in_room("tea")


async def test_handle_of_who_is_gone_is_in_no_room(gateway: type[Recorded]) -> None:
    async with connected(gateway.as_asgi()):
        client: ClientHandle = gateway.instances[0].client
        await client.join_room("tea")
    assert not client.is_in_room("tea")


# When the socket is gone


async def test_handle_knows_that_its_socket_is_gone(client: ClientHandle, socket: Socket) -> None:
    assert not client.is_gone
    await socket.close()
    assert client.is_gone


async def test_gone_handle_does_nothing(
    gateway: type[Recorded], gone: ClientHandle, layer: LocalChannelLayer
) -> None:
    async with connected(gateway.as_asgi()) as other:
        await gateway.instances[1].join_room("room")
        await use(gone)
        await other.expect_nothing()
    assert layer.registry.rooms() == []


async def test_gone_handle_does_nothing_in_a_thread(gone: ClientHandle) -> None:
    await asyncio.to_thread(lambda: asyncio.run(use(gone)))
    assert (gone.pending_frames, gone.pending_bytes) == (0, 0)


async def test_gone_handle_keeps_what_it_knows(gateway: type[Recorded], gone: ClientHandle) -> None:
    assert (gone.id, gone.claims, gone.tenant) == (gateway.connects[0], None, None)


async def test_handle_may_still_be_used_in_on_disconnect(
    gateway: type[Recorded], socket: Socket
) -> None:
    class Leaving(Recorded):
        async def on_disconnect(self, code: int) -> None:
            await self.client.broadcast("left", exclude_self=True)

    async with connected(Leaving.as_asgi()):
        pass
    assert await events(socket, 1) == ["left"]


async def test_handle_of_an_evicted_client_sends_it_nothing_more(
    client: ClientHandle, layer: LocalChannelLayer, socket: Socket
) -> None:
    layer.registry.evict(client.id)
    await use(client)
    await socket.expect_close(4008)


async def test_burst_of_a_handle_does_not_evict_a_client_that_reads(
    gateway: type[Recorded], layer: LocalChannelLayer, settings: Settings
) -> None:
    settings.ARCLY_CHANNELS = {"OUTBOUND_BUFFER": 8}
    async with connected(gateway.as_asgi()) as socket:
        for number in range(200):
            await gateway.instances[0].client.emit("news", number)
        assert [(await socket.receive_event())[1] for _ in range(200)] == list(range(200))
    assert not layer.registry.evictions


async def test_handle_is_gone_as_soon_as_its_socket_is_closed(
    client: ClientHandle, layer: LocalChannelLayer, socket: Socket
) -> None:
    layer.registry.close(One(client.id), 4401)
    assert client.is_gone


async def test_running_handler_of_a_client_that_was_made_to_go_publishes_nothing(
    gateway: type[Recorded], layer: LocalChannelLayer, socket: Socket
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    class Talking(Recorded):
        @subscribe("talk")
        async def talk(self, data: Any) -> None:
            begun.set()
            await go_on.wait()
            await self.broadcast("not heard")
            await self.client.broadcast_to_room("room", "not heard")

        async def on_disconnect(self, code: int) -> None:
            await self.broadcast("goodbye")

    await gateway.instances[0].join_room("room")
    async with connected(Talking.as_asgi()) as talking:
        await talking.emit("talk")
        await soon(begun.wait())
        layer.registry.close(One(Talking.connects[0]), 4401)
        go_on.set()
        await talking.expect_close(4401)
    await socket.expect("goodbye", None)
    await socket.expect_nothing()


# How many rooms


@pytest.fixture
def two_rooms(settings: Settings) -> None:
    settings.ARCLY_CHANNELS = {"MAX_ROOMS_PER_CONNECTION": 2}


@pytest.mark.usefixtures("two_rooms")
async def test_room_too_many_is_refused(client: ClientHandle) -> None:
    for room in ("a", "b", "a"):
        await client.join_room(room)
    with pytest.raises(EventRefused, match="too_many_rooms: one client is in at most 2 rooms"):
        await client.join_room("c")


@pytest.mark.usefixtures("two_rooms")
async def test_rooms_that_others_join_and_leave_for_a_client_count_as_its_own(
    client: ClientHandle, layer: LocalChannelLayer
) -> None:
    for room in ("a", "b"):
        await client.join_room(room)
    await layer.leave(client.id, "a")
    await layer.join(client.id, "c")
    with pytest.raises(EventRefused, match="too_many_rooms"):
        await client.join_room("d")
    await layer.leave(client.id, "c")
    await client.join_room("d")


@pytest.mark.usefixtures("two_rooms")
async def test_room_that_was_left_makes_place_for_another(
    client: ClientHandle, layer: LocalChannelLayer
) -> None:
    for room in ("a", "b"):
        await client.join_room(room)
    await client.leave_room("a")
    await client.join_room("c")
    assert layer.registry.room_members("c") == [client.id]


@pytest.mark.usefixtures("two_rooms")
async def test_client_hears_of_a_room_too_many() -> None:
    class Joining(Recorded):
        @subscribe("join")
        async def join(self, data: Any) -> None:
            await self.join_room(data)

    async with connected(Joining.as_asgi(), claims={"sub": "ann", "jti": "1"}) as socket:
        for room in ("a", "b", "c"):
            await socket.emit("join", room)
        assert (await socket.receive_event())[1]["code"] == "too_many_rooms"


async def test_limit_of_zero_rooms_is_none(client: ClientHandle, settings: Settings) -> None:
    settings.ARCLY_CHANNELS = {"MAX_ROOMS_PER_CONNECTION": 0}
    for number in range(200):
        await client.join_room(str(number))


# Namespaces


class Staff(Recorded):
    room_namespace = "staff"


@pytest.mark.parametrize("tenant", [None, "acme"])
async def test_room_of_a_namespace_is_not_that_of_others(
    gateway: type[Recorded], tenant: str | None
) -> None:
    app, staff_app = gateway.as_asgi(), Staff.as_asgi()
    async with (
        connected(app, tenant=tenant) as socket,
        connected(staff_app, tenant=tenant) as staff,
    ):
        for each in (gateway.instances[-1], Staff.instances[-1]):
            await each.join_room("room")
        await Staff.instances[-1].broadcast_to_room("room", "of the staff")
        broadcast_to_room("room", "also of the staff", tenant=tenant, namespace="staff")
        await socket.expect_nothing()
        assert await events(staff, 2) == ["of the staff", "also of the staff"]
        await gateway.instances[-1].broadcast_to_room("room", "of all")
        await gateway.instances[-1].broadcast_to_room(
            group_name("room", tenant, namespace="staff"), "of all"
        )
        await staff.expect_nothing()


async def test_room_of_a_namespace_may_be_left() -> None:
    async with connected(Staff.as_asgi()) as staff:
        await Staff.instances[-1].join_room("room")
        await Staff.instances[-1].leave_room("room")
        broadcast_to_room("room", "of the staff", namespace="staff")
        await staff.expect_nothing()
