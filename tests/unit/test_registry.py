"""The registry: the seed's five tests under their own names, then what the contract adds."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from arcly_channels.close_codes import CloseCode
from arcly_channels.exceptions import EnvelopeError
from arcly_channels.fanout.audience import EVERYONE, Group
from arcly_channels.fanout.evictions import WARNING_INTERVAL
from arcly_channels.fanout.lanes import Lane
from arcly_channels.fanout.outbox import Outbox
from arcly_channels.registry import ConnectionRegistry
from arcly_channels.wire.envelope import Frame
from tests.peers import Peer

if TYPE_CHECKING:
    from tests.conftest import Clock


@pytest.fixture
def registry(clock: Clock) -> ConnectionRegistry:
    return ConnectionRegistry(clock=clock)


def stuck(registry: ConnectionRegistry, max_frames: int = 8) -> tuple[int, Outbox]:
    """Register a connection whose outbox nobody empties."""
    outbox = Outbox(max_frames=max_frames)
    return registry.register(outbox), outbox


def reading(registry: ConnectionRegistry, *rooms: str) -> tuple[int, Peer]:
    """Register a connection whose client reads, and put it into the rooms."""
    peer = Peer()
    id = registry.register(Outbox(transport=peer))
    for room in rooms:
        registry.join_room(id, room)
    return id, peer


def taken(outbox: Outbox) -> str | None:
    frame = outbox.take()
    return None if frame is None else frame.text


# The seed's tests


def test_slow_client_is_evicted_when_queue_fills(registry: ConnectionRegistry) -> None:
    stuck(registry, max_frames=1)
    assert registry.connection_count() == 1
    registry.broadcast_text("one")
    assert registry.connection_count() == 1
    registry.broadcast_text("two")
    assert registry.connection_count() == 0


def test_fast_client_receives_broadcasts(registry: ConnectionRegistry) -> None:
    _, outbox = stuck(registry)
    registry.broadcast_text("hello")
    assert taken(outbox) == "hello"


def test_room_membership_and_cleanup(registry: ConnectionRegistry) -> None:
    id, outbox = stuck(registry)
    registry.join_room(id, "alpha")
    registry.broadcast_room_text("alpha", "in-room")
    assert taken(outbox) == "in-room"

    registry.leave_room(id, "alpha")
    registry.broadcast_room_text("alpha", "after-leave")
    assert taken(outbox) is None

    registry.join_room(id, "beta")
    registry.unregister(id)
    assert registry.connection_count() == 0
    registry.broadcast_room_text("beta", "to-nobody")


def test_sweep_idle_reaps_only_stale_connections(
    registry: ConnectionRegistry, clock: Clock
) -> None:
    stale, _ = stuck(registry)
    clock.advance(3600)
    fresh, outbox = stuck(registry)

    assert registry.sweep_idle(60) == [stale]
    assert registry.connection_count() == 1
    registry.send_text(fresh, "still-alive")
    assert taken(outbox) == "still-alive"


def test_close_all_enqueues_close_frames(registry: ConnectionRegistry) -> None:
    _, outbox = stuck(registry)
    assert registry.close_all() == 1
    assert outbox.close_code == CloseCode.SERVICE_RESTART


# Connections


def test_ids_rise(registry: ConnectionRegistry) -> None:
    ids = [stuck(registry)[0] for _ in range(10)]
    assert ids == sorted(set(ids))


def test_ids_are_unique_over_registries() -> None:
    first, _ = stuck(ConnectionRegistry())
    second, _ = stuck(ConnectionRegistry())
    assert first < second


def test_unregister_says_whether_it_was_there(registry: ConnectionRegistry) -> None:
    id, _ = stuck(registry)
    assert [registry.unregister(id), registry.unregister(id)] == [True, False]


def test_second_unregister_does_not_count(registry: ConnectionRegistry) -> None:
    id, _ = stuck(registry)
    stuck(registry)
    registry.unregister(id)
    registry.unregister(id)
    assert registry.connection_count() == 1


def test_unregistered_connection_gets_nothing(registry: ConnectionRegistry) -> None:
    id, outbox = stuck(registry)
    registry.join_room(id, "room")
    registry.unregister(id)
    registry.send_text(id, "to it")
    registry.broadcast_text("to all")
    registry.broadcast_room_text("room", "to the room")
    assert not outbox.pending_frames


def test_unregister_leaves_the_socket_open(registry: ConnectionRegistry) -> None:
    id, outbox = stuck(registry)
    registry.unregister(id)
    assert outbox.close_code is None


def test_unknown_id_is_ignored(registry: ConnectionRegistry) -> None:
    registry.touch(0)
    registry.join_room(0, "room")
    registry.leave_room(0, "room")
    registry.send_text(0, "to nobody")
    assert not registry.evict(0)
    assert not registry.rooms()


def test_shards_are_four_for_every_processor() -> None:
    assert ConnectionRegistry().shards == 4 * (os.cpu_count() or 1)


@pytest.mark.parametrize("shards", [1, 3, 64])
def test_any_number_of_shards_reaches_everybody(shards: int) -> None:
    registry = ConnectionRegistry(shards=shards)
    peers = [reading(registry)[1] for _ in range(20)]
    registry.broadcast_text("hello")
    assert all(peer.texts == ["hello"] for peer in peers)


@pytest.mark.parametrize("parts", [1, 3, 8, 20])
def test_every_connection_is_in_one_part_of_a_lane(parts: int) -> None:
    registry = ConnectionRegistry(shards=8)
    lane = Lane()
    ids = [registry.register(Outbox(lane)) for _ in range(50)]
    found = [registry._part_in(lane, part, parts) for part in range(parts)]
    assert sorted(each.id for part in found for each in part) == ids


@pytest.mark.parametrize("shards", [0, -1])
def test_registry_without_shards_is_refused(shards: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        ConnectionRegistry(shards=shards)


# Rooms


def test_room_gets_what_is_sent_to_it_and_nobody_else(registry: ConnectionRegistry) -> None:
    _, inside = reading(registry, "room")
    _, outside = reading(registry, "other")
    registry.broadcast_room_text("room", "hello")
    assert (inside.texts, outside.texts) == (["hello"], [])


def test_room_joined_twice_gives_each_frame_once(registry: ConnectionRegistry) -> None:
    _, peer = reading(registry, "room", "room")
    registry.broadcast_room_text("room", "hello")
    assert peer.texts == ["hello"]


def test_room_joined_twice_is_left_at_once(registry: ConnectionRegistry) -> None:
    id, peer = reading(registry, "room", "room")
    registry.leave_room(id, "room")
    registry.broadcast_room_text("room", "hello")
    assert not peer.texts


def test_room_that_was_not_joined_can_be_left(registry: ConnectionRegistry) -> None:
    id, _ = reading(registry)
    reading(registry, "room")
    registry.leave_room(id, "room")
    assert len(registry.room_members("room")) == 1


def test_members_of_a_room_are_known_by_id(registry: ConnectionRegistry) -> None:
    ids = [reading(registry, "room")[0] for _ in range(3)]
    assert registry.room_members("room") == ids


@pytest.mark.parametrize(
    "end",
    [
        lambda registry, id: registry.leave_room(id, "room"),
        lambda registry, id: registry.unregister(id),
        lambda registry, id: registry.evict(id),
        lambda registry, id: registry.sweep_idle(1),
    ],
    ids=["left", "unregistered", "evicted", "reaped"],
)
def test_room_without_members_is_forgotten(
    registry: ConnectionRegistry, clock: Clock, end: Callable[[ConnectionRegistry, int], object]
) -> None:
    id, _ = reading(registry, "room")
    clock.advance(2)
    end(registry, id)
    assert registry.rooms() == []


# Frames


def test_frame_sent_to_one_reaches_it_alone(registry: ConnectionRegistry) -> None:
    id, peer = reading(registry)
    _, other = reading(registry)
    registry.send_text(id, "hello")
    assert (peer.texts, other.texts) == (["hello"], [])


def test_broadcast_puts_the_same_object_into_every_outbox(registry: ConnectionRegistry) -> None:
    outboxes = [stuck(registry)[1] for _ in range(5)]
    registry.broadcast_text("hello")
    assert len({id(outbox.take()) for outbox in outboxes}) == 1


def test_text_that_is_no_unicode_is_sent_to_nobody(registry: ConnectionRegistry) -> None:
    _, outbox = stuck(registry)
    with pytest.raises(EnvelopeError):
        registry.broadcast_text("\ud800")
    assert not outbox.pending_frames


def test_broadcast_can_exclude_one(registry: ConnectionRegistry) -> None:
    id, peer = reading(registry)
    _, other = reading(registry)
    registry.deliver(EVERYONE, Frame.from_text("hello"), exclude=id)
    assert (peer.texts, other.texts) == ([], ["hello"])


def test_room_broadcast_can_exclude_one(registry: ConnectionRegistry) -> None:
    id, peer = reading(registry, "room")
    _, other = reading(registry, "room")
    registry.deliver(Group("room"), Frame.from_text("hello"), exclude=id)
    assert (peer.texts, other.texts) == ([], ["hello"])


# Slow connections


def test_full_outbox_is_evicted_while_the_others_get_the_frame(
    registry: ConnectionRegistry,
) -> None:
    _, before = reading(registry, "room")
    slow, _ = stuck(registry, max_frames=1)
    registry.join_room(slow, "room")
    _, after = reading(registry, "room")
    registry.broadcast_room_text("room", "one")
    registry.broadcast_room_text("room", "two")
    assert before.texts == after.texts == ["one", "two"]
    assert slow not in registry.room_members("room")


def test_many_full_outboxes_are_evicted_by_one_broadcast(registry: ConnectionRegistry) -> None:
    for _ in range(50):
        stuck(registry, max_frames=1)
    registry.broadcast_text("one")
    registry.broadcast_text("two")
    assert registry.connection_count() == 0


def test_outbox_full_of_bytes_is_evicted(registry: ConnectionRegistry) -> None:
    registry.register(Outbox(max_bytes=10))
    registry.broadcast_text("12345678")
    registry.broadcast_text("123")
    assert registry.connection_count() == 0


def test_send_evicts_a_full_outbox(registry: ConnectionRegistry) -> None:
    id, _ = stuck(registry, max_frames=1)
    registry.send_text(id, "one")
    registry.send_text(id, "two")
    assert registry.connection_count() == 0


def test_outbox_is_used_to_its_last_frame(registry: ConnectionRegistry) -> None:
    _, outbox = stuck(registry, max_frames=7)
    for number in range(7):
        registry.broadcast_text(str(number))
    assert (outbox.pending_frames, registry.connection_count()) == (7, 1)


def test_evicted_connection_keeps_its_backlog_and_is_closed_with_4008(
    registry: ConnectionRegistry,
) -> None:
    id, outbox = stuck(registry)
    registry.send_text(id, "backlog")
    registry.evict(id)
    assert (outbox.close_code, taken(outbox)) == (CloseCode.SLOW_CONSUMER, "backlog")


def test_no_frame_reaches_an_evicted_connection(registry: ConnectionRegistry) -> None:
    id, outbox = stuck(registry)
    registry.join_room(id, "room")
    registry.evict(id)
    registry.broadcast_text("to all")
    registry.broadcast_room_text("room", "to the room")
    registry.send_text(id, "to it")
    assert not outbox.pending_frames


def test_evicted_connection_is_in_no_room(registry: ConnectionRegistry) -> None:
    id, _ = reading(registry, "a", "b")
    registry.evict(id)
    registry.join_room(id, "c")
    assert registry.rooms() == []


def test_peer_that_can_take_frames_is_flushed_before_it_is_evicted(
    registry: ConnectionRegistry,
) -> None:
    peer = Peer(is_reading=False)
    outbox = Outbox(transport=peer, max_frames=4)
    registry.register(outbox)
    for number in range(4):
        registry.broadcast_text(str(number))
    peer.is_reading = True
    registry.broadcast_text("4")
    assert peer.texts == list("01234")


def test_connection_that_is_closing_is_not_evicted(registry: ConnectionRegistry) -> None:
    _, outbox = stuck(registry, max_frames=1)
    registry.broadcast_text("one")
    registry.close_all()
    registry.broadcast_text("two")
    assert (registry.connection_count(), registry.evictions) == (1, 0)
    assert outbox.pending_frames == 1


def test_eviction_is_counted_once(registry: ConnectionRegistry) -> None:
    id, _ = stuck(registry)
    assert [registry.evict(id), registry.evict(id)] == [True, False]
    assert registry.evictions == 1


def test_evictions_are_logged_once_an_interval(
    registry: ConnectionRegistry, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    for pause in (0, 0, WARNING_INTERVAL):
        clock.advance(pause)
        registry.evict(stuck(registry)[0])
    levels = [record.levelno for record in caplog.records]
    assert levels == [logging.WARNING, logging.WARNING]
    assert "3 evictions so far" in caplog.text


# Idle connections


def test_connection_at_the_limit_is_not_reaped(registry: ConnectionRegistry, clock: Clock) -> None:
    stuck(registry)
    clock.advance(60)
    assert registry.sweep_idle(60) == []


def test_connection_beyond_the_limit_is_reaped(registry: ConnectionRegistry, clock: Clock) -> None:
    id, _ = stuck(registry)
    clock.advance(60.001)
    assert registry.sweep_idle(60) == [id]


def test_touched_connection_is_not_reaped(registry: ConnectionRegistry, clock: Clock) -> None:
    id, _ = stuck(registry)
    clock.advance(50)
    registry.touch(id)
    clock.advance(50)
    assert registry.sweep_idle(60) == []


def test_reaped_connection_is_closed_with_4012(registry: ConnectionRegistry, clock: Clock) -> None:
    _, outbox = stuck(registry)
    clock.advance(61)
    registry.sweep_idle(60)
    assert outbox.close_code == CloseCode.IDLE_TIMEOUT


def test_reaped_connection_is_counted_once(registry: ConnectionRegistry, clock: Clock) -> None:
    stuck(registry)
    clock.advance(61)
    registry.sweep_idle(60)
    registry.sweep_idle(60)
    assert (registry.idle_reaped, registry.evictions) == (1, 0)


def test_full_connection_is_reaped_all_the_same(registry: ConnectionRegistry, clock: Clock) -> None:
    _, outbox = stuck(registry, max_frames=1)
    registry.broadcast_text("one")
    clock.advance(61)
    registry.sweep_idle(60)
    assert (registry.connection_count(), outbox.close_code) == (0, CloseCode.IDLE_TIMEOUT)


# The drain


def test_close_all_counts_everybody(registry: ConnectionRegistry) -> None:
    for _ in range(10):
        stuck(registry)
    assert registry.close_all() == 10


def test_close_all_counts_full_connections_too(registry: ConnectionRegistry) -> None:
    stuck(registry, max_frames=1)
    registry.broadcast_text("one")
    assert registry.close_all() == 1


def test_close_all_takes_a_code(registry: ConnectionRegistry) -> None:
    _, outbox = stuck(registry)
    registry.close_all(4000)
    assert outbox.close_code == 4000


def test_close_all_unregisters_nobody(registry: ConnectionRegistry) -> None:
    id, _ = stuck(registry)
    registry.join_room(id, "room")
    registry.close_all()
    assert (registry.connection_count(), registry.room_members("room")) == (1, [id])


def test_close_of_the_drain_follows_the_backlog(registry: ConnectionRegistry) -> None:
    _, outbox = stuck(registry)
    registry.broadcast_text("backlog")
    registry.close_all()
    assert taken(outbox) == "backlog"


# Counters


def test_every_frame_put_into_an_outbox_is_counted(registry: ConnectionRegistry) -> None:
    id, _ = reading(registry, "room")
    reading(registry)
    registry.broadcast_text("two")
    registry.broadcast_room_text("room", "one")
    registry.send_text(id, "one")
    assert registry.messages_out == 4


def test_frame_that_was_refused_is_not_counted(registry: ConnectionRegistry) -> None:
    stuck(registry, max_frames=1)
    registry.broadcast_text("one")
    registry.broadcast_text("two")
    assert registry.messages_out == 1


def test_frames_above_high_water_are_counted(registry: ConnectionRegistry) -> None:
    stuck(registry, max_frames=8)
    for _ in range(8):
        registry.broadcast_text("frame")
    assert registry.messages_out == 8


def test_counted_frames_stay_counted_when_the_connection_is_gone(
    registry: ConnectionRegistry,
) -> None:
    id, _ = reading(registry)
    registry.broadcast_text("one")
    registry.unregister(id)
    assert registry.messages_out == 1


async def test_registry_without_pressure_is_settled(registry: ConnectionRegistry) -> None:
    stuck(registry)
    registry.broadcast_text("one")
    await registry.pacer.wait(EVERYONE)


def test_connection_leaves_any_number_of_rooms(registry: ConnectionRegistry) -> None:
    id, _ = stuck(registry)
    for room in range(300_000):
        registry.join_room(id, str(room))
    registry.unregister(id)
    assert registry.rooms() == []
