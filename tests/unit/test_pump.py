"""The lane of an event loop: when it flushes, what it runs where, and whom it makes wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial

import pytest

from arcly_channels.close_codes import CloseCode
from arcly_channels.exceptions import LoopStalled
from arcly_channels.fanout import pump as pump_module
from arcly_channels.fanout.audience import EVERYONE, One
from arcly_channels.fanout.outbox import Outbox
from arcly_channels.fanout.pump import (
    BURST_CALLS,
    BURST_CLIENTS,
    FEW,
    JOINED_CALLS,
    MAX_POSTED,
    MAX_POSTED_BYTES,
    PATIENT,
    SLICE,
    Pump,
)
from arcly_channels.registry import ConnectionRegistry
from arcly_channels.testing import Clock
from arcly_channels.testing.waiting import DEADLINE, eventually, soon
from arcly_channels.wire.envelope import Frame
from tests.peers import Peer

FRAME = Frame.from_text("frame")


@pytest.fixture
async def pump() -> Pump:
    return Pump(asyncio.get_running_loop())


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
        await registry.pacer.wait(EVERYONE)


# Where and when calls run


async def test_call_in_the_loop_runs_at_once(pump: Pump) -> None:
    calls: list[int] = []
    pump.call(calls.append, 1)
    assert calls == [1]


async def test_call_from_a_thread_runs_in_the_loop(pump: Pump) -> None:
    threads: list[int] = []
    await asyncio.to_thread(pump.call, lambda: threads.append(threading.get_ident()))
    await eventually(lambda: threads == [threading.get_ident()])


async def test_calls_of_a_thread_keep_their_order(pump: Pump) -> None:
    calls: list[int] = []

    def post() -> None:
        for number in range(500):
            pump.call(calls.append, number)

    await asyncio.to_thread(post)
    await eventually(lambda: len(calls) == 500)
    assert calls == list(range(500))


async def test_posted_call_that_raises_stops_no_other(pump: Pump) -> None:
    calls: list[int] = []

    def post() -> None:
        pump.call(_fail)
        pump.call(calls.append, 1)

    in_thread(post)
    await eventually(lambda: calls == [1])


async def test_posted_call_that_raises_does_not_fail_a_call_in_the_loop(pump: Pump) -> None:
    calls: list[int] = []
    in_thread(lambda: pump.call(_fail))
    pump.call(calls.append, 1)
    assert calls == [1]


def _fail() -> None:
    raise RuntimeError


async def test_call_in_the_loop_comes_after_those_posted_before(pump: Pump) -> None:
    calls: list[str] = []
    in_thread(lambda: pump.call(calls.append, "posted"))
    pump.call(calls.append, "here")
    assert calls == ["posted", "here"]


async def test_call_from_another_loop_runs_in_the_pumps_loop(pump: Pump) -> None:
    threads: list[int] = []

    async def elsewhere() -> None:
        pump.call(lambda: threads.append(threading.get_ident()))

    in_thread(lambda: asyncio.run(elsewhere()))
    await eventually(lambda: threads == [threading.get_ident()])


async def test_evictions_by_posted_frames_do_not_pile_up_on_the_stack(
    pump: Pump, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pump_module, "PATIENT", 1000)
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
    pump.call(calls.append, 1)
    assert (pump.is_dead, calls) == (True, [1])


def test_calls_that_a_closed_loop_did_not_run_are_run_by_the_next() -> None:
    loop = asyncio.new_event_loop()
    pump, calls = Pump(loop), list[int]()
    pump.call(calls.append, 1)
    loop.close()
    pump.call(calls.append, 2)
    assert calls == [1, 2]


def test_loop_that_has_ended_with_clients_behind_holds_up_nobody() -> None:
    registry = ConnectionRegistry(shards=1)

    async def serve() -> None:
        registry.register(Outbox(Pump(asyncio.get_running_loop()), Peer(is_reading=False)))
        broadcast(registry, 200)

    async def send() -> None:
        await registry.pacer.wait(EVERYONE)
        registry.broadcast_text("to nobody")

    asyncio.run(serve())
    asyncio.run(send())
    assert registry.connection_count() == 0


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
        await registry.pacer.wait(EVERYONE)

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
        pump.call(outbox.put, FRAME)
    assert peer.flushes == 0
    await asyncio.sleep(0)
    assert (peer.flushes, len(peer.texts)) == (1, 5)


async def test_close_is_flushed_after_the_frames_before_it(pump: Pump) -> None:
    peer = Peer()
    outbox = Outbox(pump, peer)
    pump.call(outbox.put, FRAME)
    pump.call(outbox.close, 4000)
    await asyncio.sleep(0)
    assert (peer.texts, peer.close_code) == (["frame"], 4000)


async def test_frame_put_by_a_flush_is_flushed_too(pump: Pump) -> None:
    peer = Peer()
    answering = Outbox(pump, peer)

    class Asking(Peer):
        def flush(self, outbox: Outbox) -> None:
            super().flush(outbox)
            pump.call(answering.put, FRAME)

    asking = Outbox(pump, Asking())
    pump.call(asking.put, FRAME)
    await eventually(lambda: peer.texts == ["frame"])


async def test_long_flush_gives_other_work_a_turn(pump: Pump, gateway_clock: Clock) -> None:
    class Slow(Peer):
        def flush(self, outbox: Outbox) -> None:
            super().flush(outbox)
            gateway_clock.jump(SLICE / 2)

    peers = [Slow() for _ in range(10 * FEW)]
    for peer in peers:
        pump.call(Outbox(pump, peer).put, FRAME)
    await asyncio.sleep(0)
    assert 0 < sum(peer.flushes for peer in peers) <= 2 * FEW
    await eventually(lambda: all(peer.flushes == 1 for peer in peers))


# Who is ahead of the flush


async def test_sender_after_little_is_not_ahead(pump: Pump) -> None:
    pump.call(Outbox(pump, Peer()).put, FRAME)
    assert not pump.is_ahead()


async def test_sender_after_many_calls_is_ahead_until_the_flush(pump: Pump) -> None:
    peer = Peer()
    outbox = Outbox(pump, peer)
    for _ in range(BURST_CALLS):
        pump.call(outbox.put, FRAME)
    assert pump.is_ahead()
    passing = pump.passing()
    assert not passing.done()
    await eventually(passing.done)
    assert len(peer.texts) == BURST_CALLS


async def test_sender_after_many_frames_is_ahead_until_the_flush(
    pump: Pump, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pump_module, "BURST_FRAMES", 10)
    registry, peers = ConnectionRegistry(), [Peer() for _ in range(10)]
    for peer in peers:
        registry.register(Outbox(pump, peer))
    for _ in range(JOINED_CALLS):
        registry.broadcast_text("frame")
    await soon(registry.pacer.wait(EVERYONE))
    assert all(len(peer.texts) == JOINED_CALLS for peer in peers)


def connected(pump: Pump, registry: ConnectionRegistry, number: int) -> list[int]:
    return [registry.register(Outbox(pump, Peer())) for _ in range(number)]


async def test_many_clients_are_sent_one_frame_each_before_the_flush(pump: Pump) -> None:
    registry = ConnectionRegistry()
    ids = connected(pump, registry, BURST_CLIENTS)
    assert all(registry.deliver_at_once(id, FRAME) for id in ids)


async def test_sender_to_one_more_than_a_crowd_waits_for_the_flush(pump: Pump) -> None:
    registry = ConnectionRegistry()
    *ids, last = connected(pump, registry, BURST_CLIENTS + 1)
    for id in ids:
        registry.deliver_at_once(id, FRAME)
    assert not registry.deliver_at_once(last, FRAME)
    await soon(registry.pacer.wait(One(last)))
    assert registry.deliver_at_once(last, FRAME)


async def test_burst_to_one_client_waits_for_the_flush(pump: Pump) -> None:
    registry = ConnectionRegistry()
    (id,) = connected(pump, registry, 1)
    sent = [registry.deliver_at_once(id, FRAME) for _ in range(BURST_CALLS + 1)]
    assert sent[0]
    assert not sent[-1]


async def test_pass_ends_though_outboxes_become_ready_all_the_time(pump: Pump) -> None:
    registry = ConnectionRegistry()

    class Answering(Peer):
        def flush(self, outbox: Outbox) -> None:
            super().flush(outbox)
            registry.broadcast_text("more")  # Something is ready in every turn from now on.

    registry.register(Outbox(pump, Answering()))
    for _ in range(BURST_CALLS):
        registry.broadcast_text("frame")
    await soon(registry.pacer.wait(EVERYONE))


# Places for calls from elsewhere


async def test_only_so_many_calls_find_a_place(pump: Pump) -> None:
    assert [pump.reserve(1) for _ in range(MAX_POSTED)] == [None] * MAX_POSTED
    assert pump.reserve(1) is not None


async def test_only_so_many_bytes_find_a_place(pump: Pump) -> None:
    assert pump.reserve(MAX_POSTED_BYTES) is None
    assert pump.reserve(1) is not None


async def test_place_that_is_given_back_is_told_to_who_found_none(pump: Pump) -> None:
    assert pump.reserve(MAX_POSTED_BYTES) is None
    crowded = pump.reserve(1)
    assert crowded is not None
    pump.release(MAX_POSTED_BYTES)
    await eventually(crowded.done)
    assert pump.reserve(1) is None


async def test_place_is_free_again_when_the_call_has_run(pump: Pump) -> None:
    calls: list[int] = []
    for number in range(3 * MAX_POSTED):
        while (crowded := pump.reserve(1)) is not None:
            await eventually(crowded.done)
        in_thread(partial(pump.call, calls.append, number, size=1))
    await eventually(lambda: calls == list(range(3 * MAX_POSTED)))


async def test_loop_that_takes_no_calls_refuses_those_who_cannot_wait(pump: Pump) -> None:
    errors: list[LoopStalled] = []

    def post() -> None:
        try:
            for number in range(PATIENT * MAX_POSTED + 1):
                pump.call(lambda _: None, number, size=1)
        except LoopStalled as error:
            errors.append(error)

    in_thread(post)
    assert len(errors) == 1


async def test_loop_that_takes_no_calls_takes_a_close(pump: Pump) -> None:
    outbox = Outbox(pump, Peer())

    def post() -> None:
        for number in range(PATIENT * MAX_POSTED):
            pump.call(lambda _: None, number, size=1)
        pump.call(outbox.close, 4401)

    in_thread(post)
    await eventually(lambda: outbox.close_code == 4401)


def test_loop_that_stopped_takes_no_calls_without_bound() -> None:
    loop = asyncio.new_event_loop()
    registry, pump = ConnectionRegistry(), Pump(loop)
    outbox = Outbox(pump, Peer())
    registry.register(outbox)
    for _ in range(2 * PATIENT * MAX_POSTED):
        registry.broadcast_text("frame")
    assert registry.connection_count() == 0
    loop.run_until_complete(asyncio.sleep(0))
    assert outbox.close_code == CloseCode.RESYNC
    loop.close()


async def test_running_loop_is_not_made_to_wait_by_another(pump: Pump) -> None:
    calls: list[int] = []

    async def post() -> None:
        for number in range(3 * MAX_POSTED):
            pump.call(calls.append, number, size=1)

    in_thread(lambda: asyncio.run(post()))
    await eventually(lambda: calls == list(range(3 * MAX_POSTED)))
