"""Closing the connections of a room, and of a group in every layer."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from arcly_channels.fanout.audience import Group, One
from arcly_channels.fanout.outbox import Outbox
from arcly_channels.layers.configured import close_group, close_group_now
from arcly_channels.layers.local import LocalChannelLayer
from arcly_channels.registry import ConnectionRegistry


def connect(registry: ConnectionRegistry, *rooms: str) -> tuple[int, Outbox]:
    outbox = Outbox()
    id = registry.register(outbox)
    for room in rooms:
        registry.join_room(id, room)
    return id, outbox


def test_closing_a_room_closes_who_is_in_it() -> None:
    registry = ConnectionRegistry()
    outboxes = [connect(registry, "red", "all")[1] for _ in range(3)]
    _, other = connect(registry, "all")
    assert registry.close(Group("red"), 4403, "gone") == 3
    assert [(each.close_code, each.close_reason) for each in outboxes] == [(4403, "gone")] * 3
    assert other.close_code is None
    assert registry.connection_count() == 1
    assert registry.rooms() == ["all"]


def test_a_closed_connection_gets_what_it_was_sent_before_and_nothing_after() -> None:
    registry = ConnectionRegistry()
    id, outbox = connect(registry, "red")
    registry.broadcast_text("before")
    registry.close(One(id), 4401)
    registry.broadcast_text("after")
    registry.join_room(id, "red")
    assert [frame.text for frame in outbox.frames] == ["before"]
    assert registry.rooms() == []


def test_closing_twice_and_closing_nobody_are_fine() -> None:
    registry = ConnectionRegistry()
    id, outbox = connect(registry, "red")
    registry.close(One(id), 4401)
    registry.close(One(id), 4403)
    assert outbox.close_code == 4401
    assert registry.close(Group("red"), 4403) == 0


def test_closing_while_others_come_and_go_leaves_nobody_behind() -> None:
    registry, stop = ConnectionRegistry(), threading.Event()

    def come_and_go() -> None:
        while not stop.is_set():
            id, _ = connect(registry, "red")
            registry.unregister(id)

    threads = [threading.Thread(target=come_and_go) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(200):
        connect(registry, "red")
        registry.close(Group("red"), 4403)
    stop.set()
    for thread in threads:
        thread.join()
    registry.close(Group("red"), 4403)
    assert registry.connection_count() == 0
    assert registry.rooms() == []


class Told(asyncio.Event):
    """A transport that tells when its outbox has something for it."""

    def held_up(self) -> float:
        return 0

    def unread(self) -> int:
        return 0

    def ask(self, outbox: Outbox) -> bool:
        return False

    def acknowledged(self) -> int:
        return 0

    def silence(self) -> float:
        return 0

    def flush(self, outbox: Outbox) -> None:
        self.set()

    def stop(self) -> None:
        pass


async def test_a_thread_closes_connections_of_an_event_loop() -> None:
    layer, told = LocalChannelLayer(), Told()
    outbox = Outbox(layer.pump(), told)
    id = layer.connect(await layer.new_channel(), outbox)
    await layer.join(id, "red")
    assert await asyncio.to_thread(layer.close_group_now, "red", 4403) == 1
    await asyncio.wait_for(told.wait(), 5)
    assert outbox.close_code == 4403
    assert layer.registry.connection_count() == 0


@pytest.fixture
def two_layers(settings: Any) -> list[LocalChannelLayer]:
    from channels.layers import get_channel_layer

    ours = {"BACKEND": "arcly_channels.layers.LocalChannelLayer"}
    theirs = {"BACKEND": "channels.layers.InMemoryChannelLayer"}
    settings.CHANNEL_LAYERS = {"default": ours, "other": ours, "theirs": theirs}
    return [layer for name in ("default", "other") if (layer := get_channel_layer(name))]


async def test_a_group_is_closed_in_every_layer_of_ours(
    two_layers: list[LocalChannelLayer],
) -> None:
    for close in (close_group_now, close_group):
        for layer in two_layers:
            id = layer.connect(await layer.new_channel(), Outbox(layer.pump()))
            await layer.join(id, "red")
        count = close("red", 4403)
        assert (count if isinstance(count, int) else await count) == 2
