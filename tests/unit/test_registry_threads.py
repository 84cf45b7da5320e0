"""The registry under threads: whatever they do at once, no stale member and no empty room stays."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable

import pytest

from arcly_channels.fanout.audience import EVERYONE
from arcly_channels.fanout.lanes import Lane
from arcly_channels.fanout.outbox import Outbox
from arcly_channels.fanout.pump import Pump
from arcly_channels.registry import ConnectionRegistry
from arcly_channels.testing.waiting import DEADLINE
from tests.peers import Peer

pytestmark = pytest.mark.usefixtures("many_switches")

THREADS = 8
SECONDS = 2.0
ROOMS = [f"room-{number}" for number in range(5)]


def run_at_once(work: Callable[[int], None], threads: int = THREADS) -> None:
    """Run `work(number)` in so many threads, and raise here what one of them raised."""
    failures: list[BaseException] = []
    start = threading.Barrier(threads)

    def run(number: int) -> None:
        try:
            start.wait(DEADLINE)
            work(number)
        except BaseException as failure:  # noqa: BLE001  # It is raised below.
            failures.append(failure)

    running = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join(SECONDS + 2 * DEADLINE)
    assert not any(thread.is_alive() for thread in running), "a thread hangs"
    if failures:
        raise failures[0]


def stir(registry: ConnectionRegistry, alive: set[int], number: int, lanes: list[Lane]) -> None:
    """Do everything that can be done to a registry, in any order, to all threads' connections."""
    chance = random.Random(number)
    deadline = time.perf_counter() + SECONDS
    while time.perf_counter() < deadline:
        ids = list(alive) or [0]
        id, room = chance.choice(ids), chance.choice(ROOMS)
        match chance.randrange(7):
            case 0:
                bounds = chance.choice([1, 4, 256])
                outbox = Outbox(chance.choice(lanes), Peer(), max_frames=bounds)
                alive.add(registry.register(outbox))
            case 1 if len(ids) > 40:
                registry.unregister(id)
                alive.discard(id)
            case 2:
                registry.leave_room(id, room)
            case 3:
                registry.broadcast_text("to all")
            case 4:
                registry.broadcast_room_text(room, "to the room")
            case _:
                registry.join_room(id, room)


def survivors(registry: ConnectionRegistry, alive: set[int]) -> set[int]:
    """Return which of the connections are there: unregistering says so."""
    return {id for id in alive if registry.unregister(id)}


@pytest.fixture
def stirred() -> tuple[ConnectionRegistry, set[int]]:
    registry, alive = ConnectionRegistry(shards=4), set[int]()
    lanes = [Lane() for _ in range(3)]
    run_at_once(lambda number: stir(registry, alive, number, lanes))
    return registry, alive


def test_threads_leave_nothing_stale(stirred: tuple[ConnectionRegistry, set[int]]) -> None:
    registry, alive = stirred
    members = {room: registry.room_members(room) for room in registry.rooms()}
    count = registry.connection_count()
    there = survivors(registry, alive)

    assert all(members.values()), "a room without members"
    assert all(there.issuperset(ids) for ids in members.values()), "a stale id in a room"
    assert all(len(ids) == len(set(ids)) for ids in members.values()), "an id twice in a room"
    assert count == len(there), "the count is wrong"
    assert (registry.connection_count(), registry.rooms()) == (0, []), "somebody is left"


def test_ids_given_to_threads_at_once_are_unique() -> None:
    registry, ids = ConnectionRegistry(shards=2), list[int]()
    run_at_once(lambda _: ids.extend(registry.register(Outbox()) for _ in range(500)))
    assert len(set(ids)) == len(ids) == registry.connection_count() == THREADS * 500


def test_join_and_unregister_at_once_leave_no_stale_id() -> None:
    registry = ConnectionRegistry(shards=1)
    ids = [registry.register(Outbox()) for _ in range(3000)]

    def work(number: int) -> None:
        for id in ids:
            if number % 2:
                registry.join_room(id, "room")
            else:
                registry.unregister(id)

    run_at_once(work, threads=2)
    assert (registry.connection_count(), registry.rooms()) == (0, [])


def test_room_that_threads_join_at_once_has_them_all() -> None:
    registry = ConnectionRegistry(shards=THREADS)
    ids = [registry.register(Outbox()) for _ in range(THREADS)]
    rooms = [f"room-{number}" for number in range(2000)]

    def work(number: int) -> None:
        for room in rooms:
            registry.join_room(ids[number], room)

    run_at_once(work)
    assert all(sorted(registry.room_members(room)) == ids for room in rooms)


def test_room_that_threads_join_and_leave_at_once_keeps_who_stayed() -> None:
    registry = ConnectionRegistry(shards=THREADS)
    ids = [registry.register(Outbox()) for _ in range(THREADS)]

    def work(number: int) -> None:
        for _ in range(1000):
            registry.leave_room(ids[number], "room")
            registry.join_room(ids[number], "room")

    run_at_once(work)
    assert sorted(registry.room_members("room")) == ids


def test_connection_is_unregistered_by_one_of_many_threads() -> None:
    registry, removed = ConnectionRegistry(), list[bool]()
    ids = [registry.register(Outbox()) for _ in range(500)]
    run_at_once(lambda _: removed.extend(registry.unregister(id) for id in ids))
    assert sum(removed) == len(ids)


def test_frames_of_threads_at_once_are_all_delivered_and_counted() -> None:
    registry, peers = ConnectionRegistry(), [Peer() for _ in range(5)]
    lane = Lane()
    for peer in peers:
        registry.register(Outbox(lane, peer))

    def work(number: int) -> None:
        for serial in range(2000):
            registry.broadcast_text(f"{number} {serial}")

    run_at_once(work)
    assert registry.messages_out == 5 * THREADS * 2000
    for peer in peers:
        mine = [text for text in peer.texts if text.startswith("3 ")]
        assert mine == [f"3 {serial}" for serial in range(2000)], "a thread's order is kept"


class Loop:
    """An event loop in a thread of its own, with connections whose clients read."""

    def __init__(self, registry: ConnectionRegistry, connections: int) -> None:
        self.peers = [Peer() for _ in range(connections)]
        self.registry = registry
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()
        self.ids: list[int] = self.call(self._register())

    async def _register(self) -> list[int]:
        pump = Pump(asyncio.get_running_loop())
        ids = [self.registry.register(Outbox(pump, peer)) for peer in self.peers]
        for id in ids:
            self.registry.join_room(id, "room")
        return ids

    def call(self, coroutine: object) -> list[int]:
        assert asyncio.iscoroutine(coroutine)
        future = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        result: list[int] = future.result(DEADLINE)
        return result

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(DEADLINE)
        self.loop.close()


def test_two_event_loops_and_threads_share_a_registry() -> None:
    registry = ConnectionRegistry(shards=4)
    loops = [Loop(registry, 10), Loop(registry, 10)]

    async def talk(loop: Loop) -> list[int]:
        for serial in range(200):
            registry.broadcast_room_text("room", f"loop {serial}")
            await registry.pacer.wait(EVERYONE)
        return loop.ids

    def work(number: int) -> None:
        if number < len(loops):
            loops[number].call(talk(loops[number]))
            return
        for serial in range(200):
            registry.broadcast_text(f"thread {number} {serial}")

    async def received_by_now() -> list[int]:
        return [len(peer.texts) for loop in loops for peer in loop.peers]

    try:
        run_at_once(work, threads=4)
        deadline = time.perf_counter() + DEADLINE
        while time.perf_counter() < deadline and registry.messages_out < 20 * 800:
            loops[0].call(received_by_now())
        assert (registry.evictions, registry.messages_out) == (0, 20 * 800)
        assert registry.connection_count() == 20
    finally:
        for loop in loops:
            loop.stop()
    for peer in (peer for loop in loops for peer in loop.peers):
        assert len(peer.texts) == 800
        assert [text for text in peer.texts if text.startswith("thread 3 ")] == [
            f"thread 3 {serial}" for serial in range(200)
        ]


def test_connections_of_a_closed_loop_are_dropped_by_the_next_broadcast() -> None:
    registry = ConnectionRegistry()
    gone = Loop(registry, 3)
    gone.stop()
    peer = Peer()
    registry.register(Outbox(transport=peer))
    registry.broadcast_text("hello")
    assert (registry.connection_count(), registry.rooms(), peer.texts) == (1, [], ["hello"])
