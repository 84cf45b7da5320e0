"""Pumps and pacer under threads and several loops: nothing is lost, kept, or out of order."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
import weakref
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from arcly_channels.exceptions import LoopStalled
from arcly_channels.fanout import pacing
from arcly_channels.fanout.audience import EVERYONE, Audience, Group
from arcly_channels.fanout.lanes import Lane
from arcly_channels.fanout.liveness import Liveness
from arcly_channels.fanout.outbox import Outbox
from arcly_channels.fanout.pump import BURST_CALLS, MAX_POSTED, Pump
from arcly_channels.layers import LocalChannelLayer
from arcly_channels.registry import ConnectionRegistry
from arcly_channels.relay.contract import Parcel, Relay
from arcly_channels.testing.waiting import DEADLINE, eventually, soon
from arcly_channels.wire.envelope import Frame
from tests.peers import Peer

FRAME = Frame.from_text("frame")
ROOM = Group("room")


class Elsewhere:
    """An event loop in another thread, which stands still while `blocked`."""

    def __init__(self, registry: ConnectionRegistry) -> None:
        self.registry = registry
        self.loop = asyncio.new_event_loop()
        self.pump = Pump(self.loop)
        self.thread = threading.Thread(target=self.loop.run_forever)
        self._go_on = threading.Event()
        self.thread.start()

    def connect(self, room: str, peer: Peer) -> Outbox:
        outbox = Outbox(self.pump, peer)
        self.registry.join_room(self.registry.register(outbox), room)
        return outbox

    def block(self) -> None:
        entered: Future[None] = Future()

        def stand_still() -> None:
            entered.set_result(None)
            self._go_on.wait(DEADLINE)

        self.loop.call_soon_threadsafe(stand_still)
        entered.result(DEADLINE)

    def unblock(self) -> None:
        self._go_on.set()

    def stop(self) -> None:
        self.unblock()
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join(DEADLINE)
            self.loop.close()


@pytest.fixture
def registry() -> ConnectionRegistry:
    return ConnectionRegistry(shards=2)


@pytest.fixture
def elsewhere(registry: ConnectionRegistry) -> Iterator[Elsewhere]:
    there = Elsewhere(registry)
    yield there
    there.stop()


@pytest.fixture
def another(registry: ConnectionRegistry) -> Iterator[Elsewhere]:
    there = Elsewhere(registry)
    yield there
    there.stop()


def in_thread(work: Callable[[], object]) -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(DEADLINE)
    assert not thread.is_alive()


def places(pump: Pump) -> int:
    """Return how many more senders find a place; they keep it."""
    found = 0
    while found <= MAX_POSTED and (crowded := pump.reserve(1)) is None:
        found += 1
    if crowded is not None:
        crowded.cancel()
    return found


def send(registry: ConnectionRegistry, audience: Audience, text: str) -> None:
    kept = registry.pacer.wait_in_thread(audience, len(text))
    registry.deliver(audience, Frame.from_text(text), places=kept)


# Places


async def test_place_that_another_used_is_not_given_back_twice() -> None:
    pump = Pump(asyncio.get_running_loop())
    assert pump.reserve(1) is None
    in_thread(lambda: pump.call(lambda: None, size=1))  # It cannot wait, and did not ask.
    pump.release(1)
    await eventually(lambda: not pump._posted)
    assert places(pump) == MAX_POSTED


async def test_place_in_a_loop_that_a_room_has_left_is_given_back(
    registry: ConnectionRegistry, elsewhere: Elsewhere
) -> None:
    outbox = elsewhere.connect("room", Peer())
    kept = await registry.pacer.wait(ROOM, 5)
    assert kept == [elsewhere.pump]
    registry.unregister(outbox.connection_id)
    registry.deliver(ROOM, FRAME, places=kept)
    await eventually(lambda: not elsewhere.pump._posted)
    assert places(elsewhere.pump) == MAX_POSTED


EVENT = {"type": "gateway.event", "event": "news"}


@pytest.mark.parametrize(
    "publish",
    [
        lambda layer: layer.publish("room", FRAME),
        lambda layer: layer.group_send("room", EVENT),
        lambda layer: asyncio.to_thread(layer.publish_now, "room", FRAME),
        lambda layer: asyncio.to_thread(layer.group_send_now, "room", EVENT),
    ],
    ids=["publish", "group_send", "publish_now", "group_send_now"],
)
async def test_place_of_a_frame_that_the_relay_refuses_is_given_back(
    publish: Callable[[LocalChannelLayer], Awaitable[None]],
) -> None:
    class Refusing(Relay):
        reaches_others = True

        async def carry(self, parcel: Parcel, here: object) -> None:
            raise ConnectionError

        def carry_now(self, parcel: Parcel, here: object) -> None:
            raise ConnectionError

    layer = LocalChannelLayer()
    layer.relay = Refusing()
    elsewhere = Elsewhere(layer.registry)
    try:
        elsewhere.connect("room", Peer())
        with pytest.raises(ConnectionError):
            await publish(layer)
        await eventually(lambda: not elsewhere.pump._posted)
        assert places(elsewhere.pump) == MAX_POSTED
    finally:
        elsewhere.stop()


@pytest.mark.parametrize("end", ["stopped", "closed"])
async def test_sender_that_waits_for_a_place_in_a_loop_that_ends_is_let_go(
    registry: ConnectionRegistry, elsewhere: Elsewhere, end: str
) -> None:
    elsewhere.connect("room", Peer())
    await eventually(lambda: not elsewhere.pump._posted)
    places(elsewhere.pump)
    waiting = asyncio.ensure_future(registry.pacer.wait(ROOM, 5))
    thread = asyncio.ensure_future(asyncio.to_thread(registry.pacer.wait_in_thread, ROOM, 5))
    await eventually(lambda: len(elsewhere.pump._crowd) == 2)
    if end == "closed":
        elsewhere.stop()
    else:
        elsewhere.loop.call_soon_threadsafe(elsewhere.loop.stop)
    await soon(asyncio.gather(waiting, thread))


async def test_sender_that_waits_for_a_loop_keeps_no_place_in_another(
    registry: ConnectionRegistry, elsewhere: Elsewhere, another: Elsewhere
) -> None:
    for there in (elsewhere, another):
        there.connect("room", Peer())
    await eventually(lambda: not elsewhere.pump._posted)
    another.block()  # It comes second.
    places(another.pump)
    waiting = [asyncio.ensure_future(registry.pacer.wait(ROOM, 5)) for _ in range(MAX_POSTED)]
    await asyncio.sleep(0)
    free = places(elsewhere.pump)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    assert free == MAX_POSTED


async def test_senders_that_gave_up_are_not_kept_by_a_stalled_loop(
    registry: ConnectionRegistry, elsewhere: Elsewhere
) -> None:
    elsewhere.connect("room", Peer())
    elsewhere.block()
    places(elsewhere.pump)
    for _ in range(100):
        waiting = asyncio.ensure_future(registry.pacer.wait(ROOM, 5))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
    assert len(elsewhere.pump._crowd) <= 2


async def test_stopped_loop_that_goes_on_has_all_its_places(registry: ConnectionRegistry) -> None:
    loop = asyncio.new_event_loop()
    pump = Pump(loop)
    for _ in range(3 * MAX_POSTED):
        registry.join_room(registry.register(Outbox(pump, Peer())), "room")
        kept = await registry.pacer.wait(ROOM, 5)
        registry.deliver(ROOM, FRAME, places=kept)

    async def go_on() -> int:
        await eventually(lambda: not pump._posted)
        return places(pump)

    found = await asyncio.to_thread(loop.run_until_complete, go_on())
    loop.close()
    assert found == MAX_POSTED


# Loops that have ended


def ended_loop(registry: ConnectionRegistry, peer: Peer, frames: int) -> Outbox:
    """Return an outbox of a loop that was closed before it could flush."""
    loop = asyncio.new_event_loop()
    outbox = Outbox(Pump(loop), peer)
    registry.join_room(registry.register(outbox), "room")

    def work() -> None:
        for _ in range(frames):
            registry.broadcast_room_text("room", "frame")
        loop.stop()

    loop.call_soon(work)
    in_thread(loop.run_forever)
    loop.close()
    return outbox


async def test_nobody_waits_for_the_flush_of_a_loop_that_has_ended(
    registry: ConnectionRegistry,
) -> None:
    ended_loop(registry, Peer(), BURST_CALLS)
    waiting = asyncio.ensure_future(registry.pacer.wait(ROOM))
    await asyncio.sleep(0)
    assert waiting.done()


async def test_client_of_a_loop_that_has_ended_is_not_waited_for_again(
    registry: ConnectionRegistry,
) -> None:
    outbox = ended_loop(registry, Peer(is_reading=False), 200)
    assert registry.pacer.is_behind(ROOM)
    registry.broadcast_room_text("room", "frame")
    assert (registry.pacer.is_behind(ROOM), outbox.pending_frames) == (False, 0)


class Dying:
    """A loop that is closed for one thread already; others find it out when they post."""

    def __init__(self) -> None:
        self.knows: set[threading.Thread] = set()

    def is_closed(self) -> bool:
        return threading.current_thread() in self.knows

    def call_soon_threadsafe(self, *_: object, **__: object) -> None:
        self.knows.add(threading.current_thread())
        raise RuntimeError("Event loop is closed")


def test_calls_that_a_dying_loop_refuses_do_not_run_beside_another() -> None:
    loop, entered, may_end = Dying(), threading.Event(), threading.Event()
    pump = Pump(loop)  # type: ignore[arg-type]  # It has what is used here.
    inside, met = list[str](), list[bool]()

    def work() -> None:
        inside.append("first")
        entered.set()
        may_end.wait(DEADLINE)
        inside.clear()

    first = threading.Thread(target=pump.call, args=(work,))
    loop.knows.add(first)
    first.start()
    assert entered.wait(DEADLINE)
    threading.Timer(0.05, may_end.set).start()  # Time for what must not happen.
    pump.call(lambda: met.append(bool(inside)))
    first.join(DEADLINE)
    assert met == [False]


# Everything at once


def order_of(peer: Peer, sender: str) -> list[int]:
    return [int(text.split()[1]) for text in peer.texts if text.split()[0] == sender]


@pytest.mark.usefixtures("many_switches")
async def test_threads_and_loops_and_cancelled_senders_leave_nothing_behind(
    registry: ConnectionRegistry, elsewhere: Elsewhere, another: Elsewhere
) -> None:
    peers = [Peer() for _ in range(4)]
    pump = Pump(asyncio.get_running_loop())
    for number, there in enumerate((elsewhere, another)):
        there.connect("room", peers[number])
    for peer in peers[2:]:
        registry.join_room(registry.register(Outbox(pump, peer)), "room")
    sent: dict[str, list[int]] = {}

    def thread(name: str) -> None:
        for serial in range(150):
            send(registry, ROOM, f"{name} {serial}")
            sent.setdefault(name, []).append(serial)

    async def task(name: str) -> None:
        for serial in range(100):
            text = f"{name} {serial}"
            kept = await registry.pacer.wait(ROOM, len(text))
            registry.deliver(ROOM, Frame.from_text(text), places=kept)
            sent.setdefault(name, []).append(serial)
            await asyncio.sleep(0)

    async def cancelled(name: str, chance: random.Random) -> None:
        running = asyncio.ensure_future(task(name))
        await asyncio.sleep(chance.random() / 10)
        running.cancel()
        await asyncio.wait([running])

    afar = asyncio.run_coroutine_threadsafe(task("c0"), elsewhere.loop)
    working = [asyncio.to_thread(thread, f"t{number}") for number in range(4)]
    tasks = [cancelled(f"x{number}", random.Random(number)) for number in range(20)]
    await soon(asyncio.gather(asyncio.wrap_future(afar), *working, *tasks))
    total = sum(map(len, sent.values()))
    await eventually(lambda: all(len(peer.texts) == total for peer in peers))
    assert registry.evictions == 0
    assert registry.messages_out == 4 * total
    assert all(order_of(peer, name) == serials for peer in peers for name, serials in sent.items())
    await becomes_quiet(registry, pump, elsewhere.pump, another.pump)


@pytest.mark.usefixtures("many_switches")
@pytest.mark.parametrize("end", ["stopped", "closed"])
async def test_loop_that_ends_while_threads_send_to_it_holds_up_nobody_for_long(
    registry: ConnectionRegistry,
    elsewhere: Elsewhere,
    another: Elsewhere,
    end: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pacing, "LOOP_TIMEOUT", 0.5)
    peer, sent, stalled = Peer(), list[str](), list[str]()
    elsewhere.connect("room", Peer())
    another.connect("room", peer)

    def thread(name: str) -> None:
        for serial in range(200):
            try:
                send(registry, ROOM, f"{name} {serial}")
            except LoopStalled:
                stalled.append(f"{name} {serial}")
            else:
                sent.append(f"{name} {serial}")

    working = [asyncio.ensure_future(asyncio.to_thread(thread, f"t{n}")) for n in range(4)]
    await eventually(lambda: len(sent) > 50)
    if end == "closed":
        await asyncio.to_thread(elsewhere.stop)
    else:
        elsewhere.loop.call_soon_threadsafe(elsewhere.loop.stop)
    await soon(asyncio.gather(*working))
    await eventually(lambda: len(peer.texts) >= len(sent))
    assert sorted(peer.texts) == sorted(sent)  # What raised was sent to nobody.
    assert registry.evictions == 0
    await becomes_quiet(registry, another.pump)


async def becomes_quiet(registry: ConnectionRegistry, *pumps: Pump) -> None:
    await eventually(lambda: not any(pump._posted for pump in pumps))
    for pump in pumps:
        assert (pump._reserved, pump._reserved_bytes, pump._posted_bytes) == (0, 0, 0)
        assert all(each.done() for each in pump._crowd)
    pacer = registry.pacer
    lags = list(pacer._lags.values())
    assert all(not lag.waiters for lag in lags)
    assert all(lag.budget._waiting == 0 for lag in lags)
    assert (pacer._process._waiting, pacer._direct._waiting) == (0, 0)


# Who waits, and is cancelled


class Dribbling(Peer):
    """A client that takes nothing, but whose kernel goes on acknowledging bytes."""

    def __init__(self) -> None:
        super().__init__(is_reading=False)
        self.left = 1 << 30

    def unread(self) -> int:
        self.left -= 1
        return self.left


@pytest.fixture
def no_counted_references(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Keeps the generator of every wait, as a Python may that does not count references."""
    kept, waits = list[object](), pacing.Pacer._waits

    def keeping(*args: Any) -> Any:
        kept.append(waits(*args))
        return kept[-1]

    monkeypatch.setattr(pacing.Pacer, "_waits", keeping)
    return kept


@pytest.mark.usefixtures("no_counted_references")
@pytest.mark.parametrize("what", ["a flush", "a client", "a place"])
async def test_sender_cancelled_while_it_waits_leaves_nothing(
    registry: ConnectionRegistry, elsewhere: Elsewhere, what: str
) -> None:
    pump = Pump(asyncio.get_running_loop())
    registry.join_room(registry.register(Outbox(pump, Peer())), "room")
    elsewhere.connect("room", Peer())
    if what == "a place":
        elsewhere.block()
    taken = places(elsewhere.pump) if what == "a place" else 0
    if what == "a client":
        outbox = Outbox(pump, Dribbling(), max_frames=8)
        registry.join_room(registry.register(outbox), "room")
        for _ in range(6):
            pump.call(registry._fill, pump, [outbox], FRAME, ROOM)
        await asyncio.sleep(0)
    waiting = asyncio.ensure_future(registry.pacer.wait(ROOM, 5))
    if what == "a flush":
        for _ in range(BURST_CALLS):
            pump.call(lambda: None)
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
    await asyncio.wait([waiting])
    elsewhere.unblock()
    for _ in range(taken):
        elsewhere.pump.release(1)
    await becomes_quiet(registry, pump, elsewhere.pump)


async def test_client_freed_by_two_lanes_at_once_is_no_failure(
    registry: ConnectionRegistry,
) -> None:
    pump = Pump(asyncio.get_running_loop())
    outboxes = [Outbox(pump, Dribbling()) for _ in range(2)]
    registry.pacer.watch(ROOM, outboxes[0])
    waiting = asyncio.ensure_future(registry.pacer.wait(EVERYONE))
    lag = registry.pacer._lags[ROOM]
    future: Future[None] = Future()
    lag.waiters.add(future)
    registry.pacer.forget(outboxes[0], [ROOM])
    registry.pacer.watch(ROOM, outboxes[1])
    assert future.done()
    assert not lag.waiters, "the next that frees them would find it done"
    await soon(waiting)


# Who looks at clients that stall


def test_registry_keeps_no_loop_alive_whose_clients_have_left() -> None:
    registry, pumps = ConnectionRegistry(), list[weakref.ref[Pump]]()

    async def serve() -> None:
        pump = Pump(asyncio.get_running_loop())
        pumps.append(weakref.ref(pump))
        registry.unregister(registry.register(Outbox(pump, Peer())))

    for _ in range(5):
        asyncio.run(serve())
    gc.collect()
    assert [pump() for pump in pumps] == [None] * 5


def test_registry_keeps_no_loop_alive_that_was_closed_as_its_last_client_left() -> None:
    registry, pumps = ConnectionRegistry(), list[weakref.ref[Pump]]()

    def serve() -> None:
        loop = asyncio.new_event_loop()
        pump = Pump(loop)
        pumps.append(weakref.ref(pump))
        registry.unregister(registry.register(Outbox(pump, Peer())))  # The loop never hears of it.
        loop.close()

    for _ in range(5):
        serve()
    registry.register(Outbox())
    gc.collect()
    assert [pump() for pump in pumps] == [None] * 5


def test_client_that_comes_as_the_last_one_leaves_is_looked_at() -> None:
    lane, outboxes, looks = Turning(), list[Outbox](), list[Callable[[], None]]()
    is_needed = [False, True]  # One comes between the two.
    lane.calls = looks
    liveness = Liveness(
        lambda _: is_needed.pop(0), lambda: 30.0, lambda _: outboxes, lambda _: None
    )
    liveness.start(lane)
    outboxes.append(Outbox(lane, Peer()))
    looks.pop()()
    assert looks, "nobody looks any more"


class Turning(Lane):
    """A lane whose timers a test runs."""

    has_turns = True
    calls: list[Callable[[], None]]

    def call_later(self, seconds: float, function: Callable[..., object], *args: object) -> None:
        self.calls.append(lambda: (function(*args), None)[1])
