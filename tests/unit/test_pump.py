"""The lane of an event loop: when it flushes, what it runs where, and whom it makes wait."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable

import pytest

from arcly_channels.exceptions import LoopStalled
from arcly_channels.fanout import pacing as patience
from arcly_channels.fanout import pump as pump_module
from arcly_channels.fanout.connections import ConnectionRegistry
from arcly_channels.fanout.outbox import Outbox
from arcly_channels.fanout.pump import BURST_CALLS, FEW, MAX_POSTED, SLICE, Pump
from arcly_channels.wire.envelope import Frame
from tests.peers import Peer
from tests.waiting import DEADLINE, eventually, soon

FRAME = Frame.from_text("frame")


class Reader(Peer):
    """A client that takes one frame in every turn of the loop."""

    def __init__(self) -> None:
        super().__init__()
        self._is_awake = False

    def flush(self, outbox: Outbox) -> None:
        if not self._is_awake:
            self._is_awake = True
            asyncio.get_running_loop().call_soon(self._read, outbox)

    def _read(self, outbox: Outbox) -> None:
        frame = outbox.take()
        self._is_awake = frame is not None
        if frame is not None:
            self.texts.append(frame.text)
            asyncio.get_running_loop().call_soon(self._read, outbox)


@pytest.fixture
async def pump() -> Pump:
    return Pump(asyncio.get_running_loop())


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make threads wait for a stalled loop but shortly."""
    monkeypatch.setattr(pump_module, "POST_TIMEOUT", 0.02)


def in_thread(work: Callable[[], object]) -> None:
    """Run `work` in a thread while this one, with its event loop, stands still."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(DEADLINE)
    assert not thread.is_alive()


def broadcast(registry: ConnectionRegistry, number: int) -> None:
    for serial in range(number):
        registry.broadcast_text(str(serial))


async def broadcast_and_settle(registry: ConnectionRegistry, number: int) -> None:
    for serial in range(number):
        registry.broadcast_text(str(serial))
        await registry.settle()


# Where and when calls run


async def test_call_in_the_loop_runs_at_once(pump: Pump) -> None:
    calls: list[int] = []
    pump.run(calls.append, 1)
    assert calls == [1]


async def test_call_from_a_thread_runs_in_the_loop(pump: Pump) -> None:
    threads: list[int] = []
    await asyncio.to_thread(pump.run, lambda: threads.append(threading.get_ident()))
    await eventually(lambda: threads == [threading.get_ident()])


async def test_calls_of_a_thread_keep_their_order(pump: Pump) -> None:
    calls: list[int] = []

    def post() -> None:
        for number in range(500):
            pump.run(calls.append, number)

    await asyncio.to_thread(post)
    await eventually(lambda: len(calls) == 500)
    assert calls == list(range(500))


async def test_posted_call_that_raises_stops_no_other(pump: Pump) -> None:
    calls: list[int] = []

    def post() -> None:
        pump.run(_fail)
        pump.run(calls.append, 1)

    in_thread(post)
    await eventually(lambda: calls == [1])


async def test_posted_call_that_raises_does_not_fail_a_call_in_the_loop(pump: Pump) -> None:
    calls: list[int] = []
    in_thread(lambda: pump.run(_fail))
    pump.run(calls.append, 1)
    assert calls == [1]


def _fail() -> None:
    raise RuntimeError


async def test_call_in_the_loop_comes_after_those_posted_before(pump: Pump) -> None:
    calls: list[str] = []
    in_thread(lambda: pump.run(calls.append, "posted"))
    pump.run(calls.append, "here")
    assert calls == ["posted", "here"]


async def test_call_from_another_loop_runs_in_the_pumps_loop(pump: Pump) -> None:
    threads: list[int] = []

    async def elsewhere() -> None:
        pump.run(lambda: threads.append(threading.get_ident()))

    in_thread(lambda: asyncio.run(elsewhere()))
    await eventually(lambda: threads == [threading.get_ident()])


async def test_evictions_by_posted_frames_do_not_pile_up_on_the_stack(pump: Pump) -> None:
    registry, number = ConnectionRegistry(shards=1), 500
    for max_frames in range(1, number + 1):
        registry.register(Outbox(pump, Peer(is_reading=False), max_frames=max_frames))

    async def post() -> None:
        broadcast(registry, number)

    in_thread(lambda: asyncio.run(post()))
    registry.broadcast_text("last")  # Each frame before this one fills one more outbox.
    assert (registry.evictions, registry.connection_count()) == (number, 0)


def test_pump_of_a_closed_loop_is_dead_and_runs_calls_where_they_are_made() -> None:
    loop = asyncio.new_event_loop()
    pump, calls = Pump(loop), list[int]()
    assert not pump.is_dead
    loop.close()
    pump.run(calls.append, 1)
    assert (pump.is_dead, calls) == (True, [1])


def test_calls_that_a_closed_loop_did_not_run_are_run_by_the_next() -> None:
    loop = asyncio.new_event_loop()
    pump, calls = Pump(loop), list[int]()
    pump.run(calls.append, 1)
    loop.close()
    pump.run(calls.append, 2)
    assert calls == [1, 2]


def test_loop_that_has_ended_with_clients_behind_holds_up_nobody() -> None:
    registry = ConnectionRegistry(shards=1)

    async def serve() -> None:
        registry.register(Outbox(Pump(asyncio.get_running_loop()), Peer(is_reading=False)))
        broadcast(registry, 200)

    async def send() -> None:
        await registry.settle()
        registry.broadcast_text("to nobody")

    asyncio.run(serve())
    asyncio.run(send())
    assert registry.connection_count() == 0


@pytest.mark.usefixtures("impatient")
async def test_broadcast_of_a_thread_reaches_all_shards_or_fails_before_the_first(
    pump: Pump,
) -> None:
    registry, peers = ConnectionRegistry(shards=4), [Peer() for _ in range(4)]
    for peer in peers:
        registry.register(Outbox(pump, peer, max_frames=4))  # One call may be posted ahead.
    in_thread(lambda: registry.broadcast_text("frame"))
    await eventually(lambda: all(peer.texts for peer in peers))


# Flushing


class Broken(Peer):
    """A transport that raises, against its contract, until it is told to close."""

    def flush(self, outbox: Outbox) -> None:
        self.close_code = outbox.close_code
        if outbox.close_code is None:
            raise RuntimeError("broken")


async def test_transport_that_raises_costs_no_other_connection_its_frames(pump: Pump) -> None:
    registry, peers = ConnectionRegistry(shards=1), (Peer(), Broken(), Peer())
    for peer in peers:
        registry.register(Outbox(pump, peer))
    registry.broadcast_text("frame")
    await eventually(lambda: [peer.texts for peer in peers] == [["frame"], [], ["frame"]])


async def test_transport_that_raises_has_its_connection_closed(pump: Pump) -> None:
    registry, peer = ConnectionRegistry(shards=1), Broken()
    registry.register(Outbox(pump, peer))
    registry.broadcast_text("frame")
    await eventually(lambda: peer.close_code == 1011)


async def test_transport_that_raises_holds_up_no_sender(pump: Pump) -> None:
    registry = ConnectionRegistry(shards=1)
    registry.register(Outbox(pump, Broken()))

    async def send() -> None:
        broadcast(registry, BURST_CALLS)
        await registry.settle()

    await soon(send())


async def test_transport_that_raises_is_not_a_slow_client(pump: Pump) -> None:
    registry = ConnectionRegistry(shards=1)
    registry.register(Outbox(pump, Broken(), max_frames=1))
    broadcast(registry, 2)
    assert registry.evictions == 0


async def test_frames_of_one_turn_are_flushed_together_after_it(pump: Pump) -> None:
    peer = Peer()
    outbox = Outbox(pump, peer)
    for _ in range(5):
        pump.run(outbox.put, FRAME)
    assert peer.flushes == 0
    await asyncio.sleep(0)
    assert (peer.flushes, len(peer.texts)) == (1, 5)


async def test_close_is_flushed_after_the_frames_before_it(pump: Pump) -> None:
    peer = Peer()
    outbox = Outbox(pump, peer)
    pump.run(outbox.put, FRAME)
    pump.run(outbox.close, 4000)
    await asyncio.sleep(0)
    assert (peer.texts, peer.close_code) == (["frame"], 4000)


async def test_frame_put_by_a_flush_is_flushed_too(pump: Pump) -> None:
    peer = Peer()
    answering = Outbox(pump, peer)

    class Asking(Peer):
        def flush(self, outbox: Outbox) -> None:
            super().flush(outbox)
            pump.run(answering.put, FRAME)

    asking = Outbox(pump, Asking())
    pump.run(asking.put, FRAME)
    await eventually(lambda: peer.texts == ["frame"])


async def test_long_flush_gives_other_work_a_turn(
    pump: Pump, pass_time: Callable[[float], None]
) -> None:
    class Slow(Peer):
        def flush(self, outbox: Outbox) -> None:
            super().flush(outbox)
            pass_time(SLICE / 2)

    peers = [Slow() for _ in range(10 * FEW)]
    for peer in peers:
        pump.run(Outbox(pump, peer).put, FRAME)
    await asyncio.sleep(0)
    assert 0 < sum(peer.flushes for peer in peers) <= 2 * FEW
    await eventually(lambda: all(peer.flushes == 1 for peer in peers))


# Senders that can wait


async def test_settling_after_little_does_not_wait_for_the_flush(pump: Pump) -> None:
    peer = Peer()
    pump.run(Outbox(pump, peer).put, FRAME)
    await pump.settle()
    assert not peer.flushes


async def test_settling_after_many_calls_waits_for_the_flush(pump: Pump) -> None:
    peer = Peer()
    outbox = Outbox(pump, peer)
    for _ in range(BURST_CALLS):
        pump.run(outbox.put, FRAME)
    await pump.settle()
    assert len(peer.texts) == BURST_CALLS


async def test_settling_after_many_frames_waits_for_the_flush(
    pump: Pump, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pump_module, "BURST_FRAMES", 10)
    registry, peers = ConnectionRegistry(), [Peer() for _ in range(10)]
    for peer in peers:
        registry.register(Outbox(pump, peer))
    registry.broadcast_text("frame")
    await pump.settle()
    assert all(peer.texts == ["frame"] for peer in peers)


async def test_burst_does_not_evict_a_client_that_reads(pump: Pump) -> None:
    registry, reader = ConnectionRegistry(), Reader()
    registry.register(Outbox(pump, reader, max_frames=8))
    await soon(broadcast_and_settle(registry, 1000))
    await eventually(lambda: len(reader.texts) == 1000)
    assert not registry.evictions


async def test_burst_of_a_thread_does_not_evict_a_client_that_reads(pump: Pump) -> None:
    registry, reader = ConnectionRegistry(), Reader()
    registry.register(Outbox(pump, reader, max_frames=8))
    await soon(asyncio.to_thread(broadcast, registry, 1000))
    await eventually(lambda: len(reader.texts) == 1000)
    assert not registry.evictions


async def test_burst_of_another_loop_does_not_evict_a_client_that_reads(pump: Pump) -> None:
    registry, reader = ConnectionRegistry(), Reader()
    registry.register(Outbox(pump, reader, max_frames=8))
    await soon(asyncio.to_thread(lambda: asyncio.run(broadcast_and_settle(registry, 1000))))
    await eventually(lambda: len(reader.texts) == 1000)
    assert not registry.evictions


async def test_call_in_the_loop_during_a_threads_burst_does_not_evict_a_client_that_reads(
    pump: Pump,
) -> None:
    registry, reader = ConnectionRegistry(), Reader()
    registry.register(Outbox(pump, reader, max_frames=8))
    burst = asyncio.create_task(asyncio.to_thread(broadcast, registry, 200))
    while not burst.done():
        await soon(broadcast_and_settle(registry, 1))
        await asyncio.sleep(0)
    await soon(burst)
    await eventually(lambda: "199" in reader.texts or registry.evictions)
    assert not registry.evictions


async def test_large_frames_of_a_thread_do_not_evict_a_client_that_reads(pump: Pump) -> None:
    registry, reader = ConnectionRegistry(), Reader()
    registry.register(Outbox(pump, reader))
    large = "x" * 30_000  # 64 calls of a thread may be posted: more than an outbox takes.

    def work() -> None:
        for _ in range(MAX_POSTED):
            registry.broadcast_text(large)

    burst = asyncio.create_task(asyncio.to_thread(work))
    while not burst.done():
        await soon(broadcast_and_settle(registry, 1))
        await asyncio.sleep(0)
    await soon(burst)
    await eventually(lambda: reader.texts.count(large) == MAX_POSTED or registry.evictions)
    assert not registry.evictions


async def test_room_does_not_wait_for_a_client_of_another_room(pump: Pump) -> None:
    registry, reader, lagging = ConnectionRegistry(), Reader(), Outbox(pump, Peer(is_reading=False))
    for room, outbox in (("ours", Outbox(pump, reader)), ("theirs", lagging)):
        registry.join_room(registry.register(outbox), room)
    while not lagging.is_pressed:
        registry.broadcast_room_text("theirs", "frame")
    settled = asyncio.ensure_future(registry.settle(room="ours"))
    waiting = asyncio.ensure_future(registry.settle(room="theirs"))
    await eventually(settled.done)
    assert not waiting.done()
    await soon(waiting)  # It is given up on, as it takes nothing.


async def test_thread_does_not_wait_for_a_client_of_another_room(
    pump: Pump, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "STALL", DEADLINE)  # Who waits for the other fails this test.
    monkeypatch.setattr(patience, "CREDIT", DEADLINE)
    registry, reader, lagging = ConnectionRegistry(), Reader(), Outbox(pump, Peer(is_reading=False))
    for room, outbox in (("ours", Outbox(pump, reader)), ("theirs", lagging)):
        registry.join_room(registry.register(outbox), room)
    while not lagging.is_pressed:
        registry.broadcast_room_text("theirs", "frame")

    def work() -> None:
        for number in range(500):
            registry.broadcast_room_text("ours", str(number))

    await asyncio.wait_for(asyncio.to_thread(work), DEADLINE / 2)
    await eventually(lambda: len(reader.texts) == 500)
    assert not registry.evictions


async def test_burst_evicts_a_client_that_reads_nothing(pump: Pump) -> None:
    registry, reader = ConnectionRegistry(), Reader()
    stuck = registry.register(Outbox(pump, Peer(is_reading=False), max_frames=8))
    registry.register(Outbox(pump, reader, max_frames=8))
    await soon(broadcast_and_settle(registry, 1000))
    await eventually(lambda: len(reader.texts) == 1000)
    assert (registry.evictions, registry.unregister(stuck)) == (1, False)


async def test_client_that_reads_nothing_holds_up_a_burst_but_shortly(pump: Pump) -> None:
    registry = ConnectionRegistry()
    for _ in range(20):
        registry.register(Outbox(pump, Peer(is_reading=False), max_frames=8))
    started = time.perf_counter()
    await soon(broadcast_and_settle(registry, 100))
    assert time.perf_counter() - started < 1


async def test_closing_a_lagging_client_frees_who_waits_for_it(pump: Pump) -> None:
    outbox = Outbox(pump, Reader(), max_frames=2)
    for _ in range(2):
        pump.run(outbox.put, FRAME)
    pump.run(pump.press, outbox)
    waiting = asyncio.create_task(pump.settle())
    await asyncio.sleep(0)
    pump.run(outbox.close, 1000)
    await soon(waiting)


# Threads and loops that the loop does not listen to


@pytest.mark.usefixtures("impatient")
async def test_thread_learns_that_the_loop_takes_nothing(pump: Pump) -> None:
    calls, errors = list[int](), list[LoopStalled]()

    def post() -> None:
        try:
            for number in range(MAX_POSTED + 1):
                pump.run(calls.append, number)
        except LoopStalled as error:
            errors.append(error)

    in_thread(post)
    await eventually(lambda: len(calls) == MAX_POSTED)
    assert [error.seconds for error in errors] == [pump_module.POST_TIMEOUT]


@pytest.mark.usefixtures("impatient")
async def test_sender_in_another_loop_learns_that_the_loop_takes_nothing(pump: Pump) -> None:
    errors: list[LoopStalled] = []

    async def post() -> None:
        for _ in range(MAX_POSTED):
            pump.run(lambda: None)
        try:
            await pump.settle()
        except LoopStalled as error:
            errors.append(error)

    in_thread(lambda: asyncio.run(post()))
    assert len(errors) == 1


@pytest.mark.usefixtures("impatient")
async def test_frame_of_another_loop_that_raised_loop_stalled_was_not_sent(pump: Pump) -> None:
    registry, outbox = ConnectionRegistry(), Outbox(pump)
    registry.register(outbox)
    sent: list[int] = []

    async def post() -> None:
        with contextlib.suppress(LoopStalled):
            for number in range(2 * MAX_POSTED):
                await registry.settle()
                registry.broadcast_text(str(number))
                sent.append(number)

    in_thread(lambda: asyncio.run(post()))
    await eventually(lambda: outbox.pending_frames >= MAX_POSTED)
    assert outbox.pending_frames == len(sent)


@pytest.mark.parametrize(
    "end",
    [
        lambda registry, id: registry.evict(id),
        lambda registry, id: registry.sweep_idle(-1),
        lambda registry, id: registry.close_all(),
    ],
    ids=["evict", "sweep_idle", "close_all"],
)
@pytest.mark.usefixtures("impatient")
async def test_thread_closes_connections_of_a_loop_that_takes_nothing(
    pump: Pump, end: Callable[[ConnectionRegistry, int], object]
) -> None:
    registry, outbox = ConnectionRegistry(), Outbox(pump)
    id = registry.register(outbox)
    ended: list[object] = []

    def work() -> None:
        broadcast(registry, MAX_POSTED)
        ended.append(end(registry, id))

    in_thread(work)
    await eventually(lambda: outbox.close_code)
    assert len(ended) == 1


@pytest.mark.usefixtures("impatient")
async def test_thread_unregisters_connections_of_a_loop_that_takes_nothing(pump: Pump) -> None:
    registry, unregistered = ConnectionRegistry(), list[bool]()
    id = registry.register(Outbox(pump))

    def work() -> None:
        broadcast(registry, MAX_POSTED)
        unregistered.append(registry.unregister(id))

    in_thread(work)
    assert unregistered == [True]


@pytest.mark.usefixtures("impatient")
async def test_running_loop_is_not_made_to_wait_by_another(pump: Pump) -> None:
    calls: list[int] = []

    async def post() -> None:
        for number in range(3 * MAX_POSTED):
            pump.run(calls.append, number)

    in_thread(lambda: asyncio.run(post()))
    await eventually(lambda: calls == list(range(3 * MAX_POSTED)))
