"""What is left after very many connections: nothing."""

from __future__ import annotations

import gc
from weakref import WeakSet

import pytest

from arcly_channels import GatewayConsumer
from arcly_channels.fanout.outbox import Outbox
from arcly_channels.fanout.rows import Connection
from arcly_channels.layers import LocalChannelLayer
from arcly_channels.layers.mailbox import Mailbox
from tests.gateways import Recorded, Socket, connected
from tests.waiting import turns

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
        pass

    before = kept()
    for _ in range(200):
        async with connected(Gateway.as_asgi()) as socket:
            await socket.got_nothing()
        Gateway.instances.clear()
    del socket
    await turns()
    assert (layer.registry.connection_count(), layer.registry.rooms()) == (0, [])
    assert kept() == before


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
