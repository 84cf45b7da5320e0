"""How long senders wait, for whom, and who pays: the budgets, and the pacer over real lanes."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable

import pytest

from arcly_channels.exceptions import LoopStalled
from arcly_channels.fanout import pacing
from arcly_channels.fanout.audience import EVERYONE, Audience, Group, One
from arcly_channels.fanout.budget import Budget
from arcly_channels.fanout.outbox import Outbox
from arcly_channels.fanout.pacing import AT_ONCE, LONGEST, PROCESS_AT_ONCE, SHARE
from arcly_channels.fanout.pump import MAX_POSTED, Pump
from arcly_channels.registry import ConnectionRegistry
from arcly_channels.testing.waiting import DEADLINE, eventually, soon
from arcly_channels.wire.envelope import Frame
from tests.conftest import Clock
from tests.peers import Peer, Reader

START = 100.0
FRAME = Frame.from_text("frame")
ROOM = Group("room")


class Dribbling(Peer):
    """A client that never takes a frame, but whose kernel goes on acknowledging bytes."""

    def __init__(self) -> None:
        super().__init__(is_reading=False)
        self.unread_bytes = 1 << 30

    def held_up(self) -> float:
        return time.monotonic()

    def unread(self) -> int:
        self.unread_bytes = (self.unread_bytes or 0) - 1
        return self.unread_bytes


@pytest.fixture
def budget() -> Budget:
    return Budget(AT_ONCE, SHARE, START)


@pytest.fixture
async def pump() -> Pump:
    return Pump(asyncio.get_running_loop())


@pytest.fixture
def registry() -> ConnectionRegistry:
    return ConnectionRegistry(shards=2)


@pytest.fixture
def patient(clock: Clock) -> ConnectionRegistry:
    """A registry whose senders spend no budget, as no time passes for it: machines differ."""
    return ConnectionRegistry(shards=2, clock=clock)


def member(registry: ConnectionRegistry, outbox: Outbox, room: str = "room") -> Outbox:
    registry.join_room(registry.register(outbox), room)
    return outbox


def press(registry: ConnectionRegistry, outbox: Outbox, room: str = "room") -> None:
    while not outbox.is_pressed:
        registry.broadcast_room_text(room, "frame")


async def waited(registry: ConnectionRegistry, audience: Audience = ROOM) -> float:
    """Return for how many seconds a sender has to wait."""
    started = time.monotonic()
    await soon(registry.pacer.wait(audience))
    return time.monotonic() - started


async def burst(registry: ConnectionRegistry, number: int, room: str = "room") -> None:
    for serial in range(number):
        await registry.pacer.wait(Group(room))
        registry.broadcast_room_text(room, str(serial))


def burst_now(registry: ConnectionRegistry, number: int, text: str = "") -> None:
    for serial in range(number):
        registry.pacer.wait_in_thread(Group("room"), len(text) or 1)
        registry.broadcast_room_text("room", text or str(serial))


def in_thread(work: Callable[[], object]) -> None:
    """Run `work` in a thread while this one, with its event loop, stands still."""
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(DEADLINE)
    assert not thread.is_alive()


# A budget


def test_new_budget_has_all_that_may_be_waited_at_once(budget: Budget) -> None:
    assert budget.left(START) == AT_ONCE


def test_waiting_is_paid_for(budget: Budget) -> None:
    budget.enter(0.2, START)
    budget.leave(START + 0.2)
    assert budget.left(START + 0.2) == pytest.approx(AT_ONCE - 0.2 + 0.2 * SHARE)


def test_those_who_wait_at_the_same_time_pay_once(budget: Budget) -> None:
    budget.enter(0.2, START)
    budget.enter(0.2, START)
    assert budget.left(START + 0.2) == pytest.approx(AT_ONCE - 0.2 + 0.2 * SHARE)


def test_who_joins_a_wait_may_wait_for_what_is_paid_and_what_is_left(budget: Budget) -> None:
    budget.enter(0.2, START)
    assert budget.left(START + 0.1) == pytest.approx(AT_ONCE - 0.1 + 0.1 * SHARE)


def test_time_that_nobody_waited_is_given_back(budget: Budget) -> None:
    budget.enter(0.2, START)
    budget.leave(START)
    assert budget.left(START) == pytest.approx(AT_ONCE)


def test_time_that_somebody_still_waits_is_not_given_back(budget: Budget) -> None:
    budget.enter(0.2, START)
    budget.enter(0.2, START)
    budget.leave(START)
    assert budget.left(START + 0.2) == pytest.approx(AT_ONCE - 0.2 + 0.2 * SHARE)


def test_budget_regains_its_share_of_the_time_and_no_more_than_it_had(budget: Budget) -> None:
    budget.enter(AT_ONCE, START)
    budget.leave(START + AT_ONCE)
    assert budget.left(START + 2) == pytest.approx(2 * SHARE)
    assert budget.left(START + 1000) == pytest.approx(AT_ONCE)


def test_time_that_no_client_is_to_blame_for_is_given_back(budget: Budget) -> None:
    budget.enter(0.2, START)
    budget.excuse(START + 0.1, 0)
    budget.leave(START + 0.1)
    assert budget.left(START + 0.1) == pytest.approx(AT_ONCE)


@pytest.mark.parametrize(("blame", "paid"), [(0.04, 0.04), (0.1, 0.1), (math.inf, 0.1)])
def test_time_that_a_client_is_to_blame_for_is_not(
    budget: Budget, blame: float, paid: float
) -> None:
    budget.enter(0.2, START)
    budget.excuse(START + 0.1, blame)
    budget.leave(START + 0.1)
    assert budget.left(START + 0.1) == pytest.approx(AT_ONCE - paid + 0.1 * SHARE)


# Whom senders wait for


async def test_nobody_waits_while_nobody_is_behind(
    registry: ConnectionRegistry, pump: Pump
) -> None:
    member(registry, Outbox(pump, Peer()))
    registry.broadcast_room_text("room", "frame")
    waiting = asyncio.ensure_future(registry.pacer.wait(Group("room")))
    await asyncio.sleep(0)
    assert waiting.done()


async def test_sender_waits_until_who_is_behind_has_caught_up(
    registry: ConnectionRegistry, pump: Pump
) -> None:
    peer = Dribbling()
    outbox = member(registry, Outbox(pump, peer))
    press(registry, outbox)
    waiting = asyncio.ensure_future(registry.pacer.wait(Group("room")))
    await asyncio.sleep(0)
    assert not waiting.done()
    peer.is_reading = True
    pump.call(outbox.flush)
    await soon(waiting)


async def test_bytes_that_leave_the_kernel_are_a_sign_of_reading(
    registry: ConnectionRegistry, pump: Pump
) -> None:
    press(registry, member(registry, Outbox(pump, Dribbling())))
    await waited(registry)
    assert registry.pacer.is_behind(Group("room"))  # It is waited for again, not given up.


async def test_client_that_takes_nothing_is_given_up(
    registry: ConnectionRegistry, pump: Pump
) -> None:
    press(registry, member(registry, Outbox(pump, Peer(is_reading=False))))
    await waited(registry)
    assert not registry.pacer.is_behind(Group("room"))


async def test_client_that_was_given_up_is_not_looked_at_again(
    registry: ConnectionRegistry, pump: Pump
) -> None:
    peer = Peer(is_reading=False)
    outbox = member(registry, Outbox(pump, peer))
    press(registry, outbox)
    await waited(registry)
    registry.broadcast_room_text("room", "frame")
    assert not registry.pacer.is_behind(Group("room"))


async def test_client_that_was_given_up_and_catches_up_is_waited_for_again(
    registry: ConnectionRegistry, pump: Pump
) -> None:
    peer = Peer(is_reading=False)
    outbox = member(registry, Outbox(pump, peer))
    press(registry, outbox)
    await waited(registry)
    peer.is_reading = True
    pump.call(outbox.flush)
    peer.is_reading = False
    press(registry, outbox)
    assert registry.pacer.is_behind(Group("room"))


async def test_closing_who_is_behind_frees_who_waits(
    registry: ConnectionRegistry, pump: Pump
) -> None:
    outbox = member(registry, Outbox(pump, Dribbling()))
    press(registry, outbox)
    waiting = asyncio.ensure_future(registry.pacer.wait(Group("room")))
    await asyncio.sleep(0)
    pump.call(outbox.close, 1000)
    await soon(waiting)
    assert not registry.pacer.is_behind(Group("room"))


async def test_client_that_is_behind_in_another_room_is_nobodys_concern(
    registry: ConnectionRegistry, pump: Pump
) -> None:
    press(registry, member(registry, Outbox(pump, Dribbling()), "theirs"), "theirs")
    member(registry, Outbox(pump, Peer()), "ours")
    waiting = asyncio.ensure_future(registry.pacer.wait(Group("ours")))
    await asyncio.sleep(0)
    assert waiting.done()


async def test_blocked_loop_holds_up_no_sender_to_clients_of_another(
    registry: ConnectionRegistry, pump: Pump
) -> None:
    pumps, is_over = list[Pump](), threading.Event()

    async def block() -> None:
        pumps.append(Pump(asyncio.get_running_loop()))
        is_over.wait(DEADLINE)

    blocked = threading.Thread(target=lambda: asyncio.run(block()))
    blocked.start()
    await eventually(lambda: pumps)
    member(registry, Outbox(pumps[0], Peer()), "theirs")
    member(registry, Outbox(pump, Peer()), "ours")
    while pumps[0].reserve(1) is None:
        pass  # Until there is no place left.
    waiting = asyncio.ensure_future(registry.pacer.wait(Group("ours")))
    await asyncio.sleep(0)
    is_over.set()
    blocked.join()
    assert waiting.done()


async def test_wait_for_our_own_side_costs_no_budget(
    registry: ConnectionRegistry, pump: Pump
) -> None:
    peer = Peer(is_reading=False)
    outbox = member(registry, Outbox(pump, peer))
    press(registry, outbox)
    waiting = asyncio.ensure_future(registry.pacer.wait(ROOM))
    await asyncio.sleep(0.01)  # What has to be paid back.
    peer.is_reading = True
    pump.call(outbox.flush)
    await soon(waiting)
    assert registry.pacer.left(ROOM) == pytest.approx(AT_ONCE, abs=1e-3)


async def test_wait_for_a_client_that_keeps_its_transport_waiting_is_paid_for(
    registry: ConnectionRegistry, pump: Pump
) -> None:
    peer = Peer(is_reading=False)
    outbox = member(registry, Outbox(pump, peer))
    press(registry, outbox)
    waiting = asyncio.ensure_future(registry.pacer.wait(ROOM))
    await asyncio.sleep(0.01)  # What has to be paid.
    peer.is_reading, peer.seconds_held_up = True, 0.01
    pump.call(outbox.flush)
    await soon(waiting)
    assert registry.pacer.left(ROOM) < AT_ONCE - 0.005


# How long


async def test_one_call_waits_for_a_moment_and_no_longer(
    registry: ConnectionRegistry, pump: Pump
) -> None:
    press(registry, member(registry, Outbox(pump, Dribbling())))
    before = registry.pacer.left(Group("room"))
    await waited(registry)
    assert before - registry.pacer.left(Group("room")) <= LONGEST + 0.001


async def test_room_whose_budget_is_spent_is_not_waited_for(
    registry: ConnectionRegistry, pump: Pump
) -> None:
    press(registry, member(registry, Outbox(pump, Dribbling())))
    started = registry.clock()
    for _ in range(3):
        await waited(registry)
    regained = SHARE * (registry.clock() - started)
    assert registry.pacer.left(Group("room")) < LONGEST / 2 + regained


async def test_new_connections_bring_no_new_budget(
    registry: ConnectionRegistry, pump: Pump
) -> None:
    for _ in range(5):
        outbox = member(registry, Outbox(pump, Dribbling()))
        press(registry, outbox)
        await waited(registry)
        registry.evict(outbox.connection_id)
    assert registry.pacer.left(Group("room")) < LONGEST / 2


async def test_all_that_is_sent_to_single_clients_shares_a_budget(
    registry: ConnectionRegistry, pump: Pump
) -> None:
    for _ in range(5):
        id = registry.register(outbox := Outbox(pump, Dribbling()))
        while not outbox.is_pressed:
            registry.send_text(id, "frame")
        await waited(registry, One(id))
    assert registry.pacer.left(One(id)) < LONGEST / 2


async def test_all_rooms_together_spend_no_more_than_the_budget_of_the_process(
    registry: ConnectionRegistry, pump: Pump
) -> None:
    rooms = [str(number) for number in range(2 * int(PROCESS_AT_ONCE / LONGEST))]
    for room in rooms:
        press(registry, member(registry, Outbox(pump, Dribbling()), room), room)
        await waited(registry, Group(room))
    assert registry.pacer.left(Group(rooms[-1])) < LONGEST / 2


async def test_budgets_of_rooms_are_forgotten_when_they_are_full_again(
    registry: ConnectionRegistry, pump: Pump
) -> None:
    for number in range(500):
        outbox = member(registry, Outbox(pump, Peer(is_reading=False), max_frames=2), str(number))
        press(registry, outbox, str(number))
        registry.evict(outbox.connection_id)
    assert len(registry.pacer) < 100


async def test_close_does_not_wait(registry: ConnectionRegistry, pump: Pump) -> None:
    outbox = member(registry, Outbox(pump, Dribbling()))
    press(registry, outbox)
    waiting = asyncio.ensure_future(registry.pacer.wait(Group("room")))
    await asyncio.sleep(0)
    assert registry.close(Group("room"), 4401) == 1
    assert outbox.close_code == 4401
    await soon(waiting)


# Bursts


@pytest.mark.parametrize("where", ["here", "in a thread", "in another loop"])
async def test_burst_does_not_evict_a_client_that_reads(
    patient: ConnectionRegistry, pump: Pump, where: str
) -> None:
    reader, registry = Reader(), patient
    member(registry, Outbox(pump, reader, max_frames=8))
    if where == "here":
        await soon(burst(registry, 1000))
    elif where == "in a thread":
        await soon(asyncio.to_thread(burst_now, registry, 1000))
    else:
        await soon(asyncio.to_thread(lambda: asyncio.run(burst(registry, 1000))))
    await eventually(lambda: len(reader.texts) == 1000 or registry.evictions)
    assert not registry.evictions


async def test_bursts_of_many_tasks_stop_at_the_same_mark(
    patient: ConnectionRegistry, pump: Pump
) -> None:
    reader, registry = Reader(), patient
    member(registry, Outbox(pump, reader, max_frames=64))
    await soon(asyncio.gather(*(burst(registry, 10) for _ in range(100))))
    await eventually(lambda: len(reader.texts) == 1000 or registry.evictions)
    assert not registry.evictions


async def test_threads_that_are_let_go_together_do_not_evict_a_client_that_reads(
    patient: ConnectionRegistry, pump: Pump
) -> None:
    reader, registry, together = Reader(), patient, threading.Barrier(101)
    member(registry, Outbox(pump, reader))

    def work() -> None:
        together.wait(DEADLINE)
        burst_now(registry, 1, "x" * 20_000)  # All of them are two outboxes full.

    threads = [threading.Thread(target=work) for _ in range(100)]
    for thread in threads:
        thread.start()
    await asyncio.to_thread(together.wait, DEADLINE)
    await eventually(lambda: len(reader.texts) == 100 or registry.evictions)
    for thread in threads:
        await asyncio.to_thread(thread.join)
    assert not registry.evictions


async def test_burst_evicts_a_client_that_reads_nothing_and_nobody_else(
    registry: ConnectionRegistry, pump: Pump
) -> None:
    reader = Reader()
    stuck = member(registry, Outbox(pump, Peer(is_reading=False), max_frames=8))
    member(registry, Outbox(pump, reader, max_frames=8))
    await soon(burst(registry, 1000))
    await eventually(lambda: len(reader.texts) == 1000)
    assert (registry.evictions, registry.unregister(stuck.connection_id)) == (1, False)


# Loops that take no calls


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make senders wait for a stalled loop but shortly."""
    monkeypatch.setattr(pacing, "LOOP_TIMEOUT", 0.02)


@pytest.mark.usefixtures("impatient")
async def test_thread_learns_that_the_loop_takes_nothing(
    registry: ConnectionRegistry, pump: Pump
) -> None:
    outbox, errors = member(registry, Outbox(pump)), list[LoopStalled]()

    def work() -> None:
        try:
            burst_now(registry, MAX_POSTED + 1)
        except LoopStalled as error:
            errors.append(error)

    in_thread(work)
    await eventually(lambda: outbox.pending_frames == MAX_POSTED)
    assert [error.seconds for error in errors] == [pacing.LOOP_TIMEOUT]


@pytest.mark.usefixtures("impatient")
async def test_sender_in_another_loop_learns_that_the_loop_takes_nothing(
    registry: ConnectionRegistry, pump: Pump
) -> None:
    outbox, sent = member(registry, Outbox(pump)), list[int]()

    async def send() -> None:
        for number in range(2 * MAX_POSTED):
            await registry.pacer.wait(Group("room"))
            registry.broadcast_room_text("room", str(number))
            sent.append(number)

    def work() -> None:
        with pytest.raises(LoopStalled):
            asyncio.run(send())

    in_thread(work)
    await eventually(lambda: outbox.pending_frames >= MAX_POSTED)
    assert outbox.pending_frames == len(sent)


@pytest.mark.usefixtures("impatient")
async def test_patience_with_clients_is_never_a_stalled_loop(
    registry: ConnectionRegistry, pump: Pump
) -> None:
    press(registry, member(registry, Outbox(pump, Dribbling())))
    await soon(asyncio.to_thread(registry.pacer.wait_in_thread, Group("room")))


@pytest.mark.parametrize(
    "end",
    [
        lambda registry, id: registry.evict(id),
        lambda registry, id: registry.sweep_idle(-1),
        lambda registry, id: registry.close_all(),
        lambda registry, id: registry.close(EVERYONE, 4401),
    ],
    ids=["evict", "sweep_idle", "close_all", "close"],
)
async def test_thread_closes_connections_of_a_loop_that_takes_nothing(
    registry: ConnectionRegistry, pump: Pump, end: Callable[[ConnectionRegistry, int], object]
) -> None:
    outbox = Outbox(pump)
    id, ended = registry.register(outbox), list[object]()

    def work() -> None:
        burst_now(registry, MAX_POSTED)
        ended.append(end(registry, id))

    in_thread(work)
    await eventually(lambda: outbox.close_code)
    assert len(ended) == 1


async def test_running_loop_is_never_made_to_wait(registry: ConnectionRegistry, pump: Pump) -> None:
    press(registry, member(registry, Outbox(pump, Dribbling())))
    before = registry.pacer.left(Group("room"))
    registry.pacer.wait_in_thread(Group("room"))
    assert registry.pacer.left(Group("room")) >= before
