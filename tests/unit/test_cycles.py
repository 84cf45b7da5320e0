"""What is left after very many connections: nothing."""

from __future__ import annotations

import asyncio
import gc
from typing import Any
from weakref import WeakSet

import pytest

from arcly_channels import EventRefused, GatewayConsumer, subscribe
from arcly_channels.fanout.outbox import Outbox
from arcly_channels.fanout.rows import Connection
from arcly_channels.layers import LocalChannelLayer
from arcly_channels.layers.mailbox import Mailbox
from arcly_channels.testing.waiting import eventually, turns
from tests.gateways import Recorded, Socket, connected

CYCLES = 100_000
KEPT = (Outbox, Mailbox, Connection)


def kept() -> int:
    """Return how many objects of a connection there are."""
    gc.collect()
    return sum(type(thing) in KEPT for thing in gc.get_objects())


async def test_nothing_is_left_of_100_000_connections(layer: LocalChannelLayer) -> None:
    before = kept()
    for number in range(CYCLES):
        channel = f"gateway!{number}"
        id = layer.connect(channel, Outbox(layer.pump()))
        await layer.join(id, "lobby")
        await layer.join(id, f"room-{number % 7}")
        layer.disconnect(channel)
    await turns()
    assert (layer.registry.connection_count(), layer.registry.rooms()) == (0, [])
    assert (dict(layer.channels), dict(layer.groups)) == ({}, {})
    assert kept() == before


async def test_nothing_is_left_of_connections_that_got_frames_and_messages(
    layer: LocalChannelLayer,
) -> None:
    before = kept()
    for number in range(2000):
        channel = f"gateway!{number}"
        await layer.group_add("before", channel)
        id = layer.connect(channel, Outbox(layer.pump()))
        await layer.join(id, "room")
        await layer.group_send("room", {"type": "gateway.event", "event": "news"})
        await layer.group_send("room", {"type": "plain.message"})
        layer.disconnect(channel)
    await turns()
    assert (dict(layer.channels), dict(layer.groups)) == ({}, {})
    assert kept() == before


async def test_nothing_is_left_of_gateways_that_came_and_went(layer: LocalChannelLayer) -> None:
    class Gateway(Recorded):
        @subscribe("beside", rate="1/s", timeout=60, concurrency=2)
        async def beside(self, data: Any) -> None:
            await asyncio.sleep(60)

    before = kept()
    for _ in range(200):
        async with connected(Gateway.as_asgi()) as socket:
            await socket.emit("beside")
            await socket.expect_nothing()
        Gateway.instances.clear()
    del socket
    await turns()
    assert (layer.registry.connection_count(), layer.registry.rooms()) == (0, [])
    assert kept() == before


LIMITS: list[dict[str, Any]] = [{"timeout": 60}, {"concurrency": 2}, {"timeout": 0.01}]
LIMITS += [{"timeout": 60, "concurrency": 2}, {"rate": "1/s"}]


@pytest.mark.parametrize("limits", LIMITS, ids=str)
@pytest.mark.parametrize("does", ["fail", "wait", "wait for ever"])
async def test_gateway_is_freed_whatever_its_handlers_have_done(
    layer: LocalChannelLayer, limits: Any, does: str
) -> None:
    gateways: WeakSet[GatewayConsumer] = WeakSet()

    class Gateway(GatewayConsumer):
        @subscribe("do", **limits)
        async def do(self, data: Any) -> None:
            gateways.add(self)
            if does == "fail":
                raise EventRefused("no", "no")
            await asyncio.sleep(60 if does == "wait for ever" else 0)

    gc.collect()
    gc.disable()
    try:
        async with connected(Gateway.as_asgi()) as socket:
            await socket.emit("do")
            await eventually(lambda: gateways)
            await turns(3)
            await eventually(socket.cancel().done)
        del socket
        await turns()
        assert len(gateways) == 0
    finally:
        gc.enable()


@pytest.mark.parametrize("is_kicked", [False, True])
async def test_gateway_is_freed_without_the_garbage_collector(
    layer: LocalChannelLayer, is_kicked: bool
) -> None:
    gateways: WeakSet[GatewayConsumer] = WeakSet()

    class Gateway(GatewayConsumer):
        async def on_connect(self) -> None:
            gateways.add(self)

    async def visit() -> None:
        socket = Socket(Gateway.as_asgi())
        await socket.connect()
        if is_kicked:
            layer.registry.close_all(4403)
            await socket.ended()
        else:
            await socket.close()

    gc.collect()
    gc.disable()
    try:
        await visit()
        await turns()
        assert len(gateways) == 0
    finally:
        gc.enable()
