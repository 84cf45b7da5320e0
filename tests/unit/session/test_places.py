"""`MAX_CONNECTIONS`: one count per process of the sockets that there are."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from channels.layers import channel_layers

from arcly_channels import GatewayConsumer, Refused
from arcly_channels.layers import LocalChannelLayer
from arcly_channels.session.limits import Places, places
from tests.gateways import Recorded, Socket, StuckServer, connected
from tests.waiting import eventually, soon

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.usefixtures("layer")


@pytest.fixture
def one_place(settings: Settings) -> None:
    settings.ARCLY_CHANNELS = {"MAX_CONNECTIONS": 1, "EVICTION_GRACE": 5}


class Here(Recorded):
    pass


class Holder:
    pass


class Elsewhere(GatewayConsumer):
    channel_layer_alias = "elsewhere"


@pytest.mark.usefixtures("one_place")
async def test_gateways_of_all_layers_are_counted_together() -> None:
    channel_layers.set("elsewhere", LocalChannelLayer())
    async with connected(Here.as_asgi()):
        assert await Socket(Elsewhere.as_asgi()).connect() == 4409
    del channel_layers.backends["elsewhere"]


@pytest.mark.usefixtures("one_place")
async def test_evicted_client_is_counted_until_its_socket_is_gone(
    layer: LocalChannelLayer,
) -> None:
    server = StuckServer(Here.as_asgi())
    await eventually(lambda: layer.registry.connection_count() == 1)
    (id,) = Here.connects[-1:]
    layer.registry.evict(id)
    assert await Socket(Here.as_asgi()).connect() == 4409
    server.task.cancel()
    await soon(asyncio.wait([server.task]))
    async with connected(Here.as_asgi()):
        pass


@pytest.mark.usefixtures("one_place")
async def test_client_whose_handshake_is_under_way_is_counted() -> None:
    asked = asyncio.Event()

    class Slow(GatewayConsumer):
        async def authorize(self) -> None:
            await asked.wait()

    socket = Socket(Slow.as_asgi())
    connecting = asyncio.create_task(socket.connect())
    await eventually(lambda: places.taken)
    assert await Socket(Here.as_asgi()).connect() == 4409
    asked.set()
    assert await soon(connecting) is None
    await socket.hang_up()


def test_place_of_who_was_forgotten_is_free() -> None:
    places, holder = Places(), Holder()
    assert places.take(holder, 1)
    assert not places.take(Holder(), 1)
    del holder
    gc.collect()
    assert places.take(Holder(), 1)


@pytest.mark.parametrize("error", [Refused(4403), LookupError(), asyncio.CancelledError()])
async def test_place_of_a_handshake_that_failed_is_free(error: BaseException) -> None:
    class Failing(GatewayConsumer):
        async def authorize(self) -> None:
            raise error

    before = places.taken
    socket = Socket(Failing.as_asgi())
    with suppress(LookupError, RuntimeError, asyncio.CancelledError):
        await socket.connect()
    await socket.hang_up()
    assert places.taken == before


async def test_client_that_was_refused_a_place_gives_none_back(settings: Settings) -> None:
    settings.ARCLY_CHANNELS = {"MAX_CONNECTIONS": 1}
    before = places.taken
    async with connected(Here.as_asgi()):
        for _ in range(3):
            socket = Socket(Here.as_asgi())
            assert await socket.connect() == 4409
            await socket.hang_up()
        assert places.taken == before + 1
    assert places.taken == before
