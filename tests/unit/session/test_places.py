"""`MAX_CONNECTIONS`, of all, of a user and of an address: the sockets that a process has."""

from __future__ import annotations

import asyncio
import gc
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any

import pytest
from channels.layers import channel_layers
from channels.testing import WebsocketCommunicator

from arcly_channels import GatewayConsumer, Refused
from arcly_channels.layers import LocalChannelLayer
from arcly_channels.reasons import Limit
from arcly_channels.session.limits import Places, Share, places
from arcly_channels.testing.waiting import DEADLINE, eventually, soon
from tests.gateways import Recorded, Socket, StuckServer, connected

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
        await Socket(Elsewhere.as_asgi()).expect_refusal(4409)
    del channel_layers.backends["elsewhere"]


@pytest.mark.usefixtures("one_place")
async def test_evicted_client_is_counted_until_its_socket_is_gone(
    layer: LocalChannelLayer,
) -> None:
    server = StuckServer(Here.as_asgi())
    await eventually(lambda: layer.registry.connection_count() == 1)
    (id,) = Here.connects[-1:]
    layer.registry.evict(id)
    await Socket(Here.as_asgi()).expect_refusal(4409)
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
    await Socket(Here.as_asgi()).expect_refusal(4409)
    asked.set()
    await soon(connecting)
    await socket.disconnect()


def test_place_of_who_was_forgotten_is_free() -> None:
    places, holder, mine = Places(), Holder(), {Share(Limit.USER, "ann"): 1}
    assert places.take(holder, 1, mine) is None
    assert places.take(Holder(), 1) is Limit.CONNECTIONS
    assert places.take(Holder(), 0, mine) is Limit.USER
    del holder
    gc.collect()
    assert places.taken == 0
    later = Holder()
    assert places.take(later, 1, mine) is None


def test_place_is_taken_of_every_share_or_of_none() -> None:
    ann, here = Share(Limit.USER, "ann"), Share(Limit.ADDRESS, "192.0.2.1")
    places, holders = Places(), [Holder() for _ in range(3)]
    assert places.take(holders[0], 3, {ann: 2, here: 1}) is None
    assert places.take(holders[1], 3, {ann: 2, here: 1}) is Limit.ADDRESS
    assert places.take(holders[1], 3, {ann: 2}) is None
    assert places.take(holders[2], 3, {ann: 2}) is Limit.USER


def test_place_is_given_back_once() -> None:
    ann = Share(Limit.USER, "ann")
    places, holders = Places(), [Holder() for _ in range(3)]
    for holder in holders[:2]:
        places.take(holder, 0, {ann: 2})
    for _ in range(3):
        places.give_back(holders[0])
    assert places.take(holders[0], 0, {ann: 2}) is None
    assert places.take(holders[2], 0, {ann: 2}) is Limit.USER


@pytest.mark.usefixtures("many_switches")
def test_no_more_get_a_place_than_there_are_however_they_come() -> None:
    places, holders = Places(), [Holder() for _ in range(200)]
    share = {Share(Limit.ADDRESS, "192.0.2.1"): 50}
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda holder: places.take(holder, 100, share), holders))
    assert found.count(None) == 50


# One user, one address


async def codes(count: int, **scope: Any) -> list[int | None]:
    """Return what becomes of so many clients at once, and have them go again."""
    sockets = [Socket(Here.as_asgi(), **scope) for _ in range(count)]
    found = [await socket.knock() for socket in sockets]
    for socket in sockets:
        await socket.disconnect()
    return found


@pytest.fixture
def two_each(settings: Settings) -> None:
    settings.ARCLY_CHANNELS = {
        "MAX_CONNECTIONS_PER_USER": 2,
        "MAX_CONNECTIONS_PER_ADDRESS": 2,
        "TRUSTED_PROXIES": ["10.0.0.0/8"],
    }


@pytest.mark.usefixtures("two_each")
@pytest.mark.parametrize(
    "scope",
    [
        {"claims": {"sub": "ann"}},
        {"claims": {"sub": "ann"}, "tenant": "acme"},
        {"client": ("192.0.2.1", 5000)},
        {"client": ("10.0.0.1", 5000), "headers": [(b"x-forwarded-for", b"192.0.2.1")]},
    ],
)
async def test_third_of_a_user_or_an_address_is_refused(scope: dict[str, Any]) -> None:
    for _ in range(2):  # Those of before have given their places back.
        assert await codes(3, **scope) == [None, None, 4409]


@pytest.mark.usefixtures("two_each")
@pytest.mark.parametrize("scope", [{}, {"claims": {"role": "guest"}}, {"client": None}])
async def test_who_has_neither_name_nor_address_is_not_counted(scope: dict[str, Any]) -> None:
    assert await codes(3, **scope) == [None] * 3


@pytest.mark.usefixtures("two_each")
async def test_user_is_counted_in_each_tenant_by_itself() -> None:
    ann = {"claims": {"sub": "ann"}}
    async with AsyncExitStack() as stack:
        for tenant in ("acme", "acme", "globex", None):
            await stack.enter_async_context(connected(Here.as_asgi(), tenant=tenant, **ann))
        assert await codes(1, tenant="acme", **ann) == [4409]
        assert await codes(1, tenant="globex", **ann) == [None]


@pytest.mark.usefixtures("two_each")
async def test_only_a_user_with_too_many_is_told_so() -> None:
    """A refusal by a word costs a socket, of which somebody else would have too many."""
    v1 = {"subprotocols": ["arcly.v1"]}
    for who, first in (
        ({"claims": {"sub": "ann"}}, "websocket.accept"),
        ({"client": ("192.0.2.1", 5000)}, "websocket.close"),
    ):
        async with connected(Here.as_asgi(), **who), connected(Here.as_asgi(), **who):
            third = WebsocketCommunicator(Here.as_asgi(), "/")
            third.scope.update({**who, **v1})
            await third.send_input({"type": "websocket.connect"})
            assert (await third.receive_output(DEADLINE))["type"] == first
            await third.wait(DEADLINE)


@pytest.mark.usefixtures("two_each")
async def test_refusals_are_counted_by_limit(layer: LocalChannelLayer) -> None:
    await codes(4, claims={"sub": "ann"})
    await codes(3, client=("192.0.2.1", 5000))
    assert layer.limits == {"connections_per_user": 2, "connections_per_address": 1}


@pytest.mark.parametrize("error", [Refused(4403), LookupError(), asyncio.CancelledError()])
async def test_place_of_a_handshake_that_failed_is_free(error: BaseException) -> None:
    class Failing(GatewayConsumer):
        async def authorize(self) -> None:
            raise error

    before = places.taken
    socket = Socket(Failing.as_asgi())
    with suppress(AssertionError):
        await socket.connect()
    await socket.disconnect()
    assert places.taken == before


async def test_client_that_was_refused_a_place_gives_none_back(settings: Settings) -> None:
    settings.ARCLY_CHANNELS = {"MAX_CONNECTIONS": 1}
    before = places.taken
    async with connected(Here.as_asgi()):
        for _ in range(3):
            socket = Socket(Here.as_asgi())
            await socket.expect_refusal(4409)
            await socket.disconnect()
        assert places.taken == before + 1
    assert places.taken == before
