"""What is due when, and who looks."""

from __future__ import annotations

import asyncio
import math
import time

import pytest

from arcly_channels.fanout.schedule import MAX_INTERVAL, MIN_INTERVAL, Schedule, Sweeper
from arcly_channels.testing import Clock
from arcly_channels.testing.waiting import eventually, turns


@pytest.fixture
def schedule() -> Schedule[str]:
    return Schedule(10)


class Sweep:
    """Notes when it was called, and says that the next sweep is due at `next`."""

    def __init__(self) -> None:
        self.calls = 0
        self.next = math.inf

    def __call__(self, now: float) -> float:
        self.calls += 1
        return self.next


@pytest.fixture
def sweep() -> Sweep:
    return Sweep()


@pytest.fixture
def sweeper(sweep: Sweep) -> Sweeper:
    return Sweeper(sweep)


# The schedule


def test_key_is_due_after_the_delay(schedule: Schedule[str]) -> None:
    schedule.set("a", 100)
    assert (schedule.pop_due(109.9), schedule.pop_due(110)) == ([], ["a"])


def test_key_is_due_once(schedule: Schedule[str]) -> None:
    schedule.set("a", 100)
    schedule.pop_due(110)
    assert schedule.pop_due(200) == []


def test_keys_are_due_in_the_order_they_were_set(schedule: Schedule[str]) -> None:
    for now, key in enumerate("cab"):
        schedule.set(key, now)
    assert schedule.pop_due(11) == ["c", "a"]


def test_key_that_is_set_again_is_due_later(schedule: Schedule[str]) -> None:
    schedule.set("a", 100)
    schedule.set("b", 101)
    schedule.set("a", 105)
    assert (schedule.pop_due(111), schedule.pop_due(115)) == (["b"], ["a"])


def test_discarded_key_is_never_due(schedule: Schedule[str]) -> None:
    schedule.set("a", 100)
    schedule.discard("a")
    schedule.discard("unknown")
    assert schedule.pop_due(200) == []


def test_setting_a_key_tells_its_deadline(schedule: Schedule[str]) -> None:
    assert schedule.set("a", 100) == 110


def test_next_deadline_is_that_of_the_first_key(schedule: Schedule[str]) -> None:
    schedule.set("a", 100)
    schedule.set("b", 105)
    assert schedule.next_deadline() == 110


# The sweeper


def test_nothing_is_swept_before_it_is_due(sweeper: Sweeper, sweep: Sweep) -> None:
    sweeper.expect(time.monotonic() + 10)
    sweeper.run_due()
    assert not sweep.calls


def test_what_is_due_is_swept_once(sweeper: Sweeper, sweep: Sweep, gateway_clock: Clock) -> None:
    sweeper.expect(time.monotonic() + 10)
    gateway_clock.jump(11)
    sweeper.run_due()
    sweeper.run_due()
    assert sweep.calls == 1


def test_earliest_deadline_counts(sweeper: Sweeper, sweep: Sweep, gateway_clock: Clock) -> None:
    sweeper.expect(time.monotonic() + 10)
    sweeper.expect(time.monotonic() + 100)
    gateway_clock.jump(11)
    sweeper.run_due()
    assert sweep.calls == 1


def test_sweep_says_when_the_next_is_due(
    sweeper: Sweeper, sweep: Sweep, gateway_clock: Clock
) -> None:
    sweep.next = time.monotonic() + 60
    sweeper.expect(time.monotonic())
    sweeper.run_due()
    gateway_clock.jump(61)
    sweeper.run_due()
    assert sweep.calls == 2


async def test_timer_sweeps_what_nobody_touches(
    sweeper: Sweeper, sweep: Sweep, gateway_clock: Clock
) -> None:
    sweeper.expect(time.monotonic() + 10)
    gateway_clock.jump(11)
    await eventually(lambda: sweep.calls == 1)


async def test_timer_goes_on_while_something_is_due(
    sweeper: Sweeper, sweep: Sweep, gateway_clock: Clock
) -> None:
    sweep.next = time.monotonic() + 20
    sweeper.expect(time.monotonic() + 10)
    gateway_clock.jump(11)
    await eventually(lambda: sweep.calls == 1)
    gateway_clock.jump(11)
    await eventually(lambda: sweep.calls == 2)


async def test_timer_looks_for_a_deadline_that_is_far_away_now_and_then(
    sweeper: Sweeper, sweep: Sweep, gateway_clock: Clock
) -> None:
    sweeper.expect(time.monotonic() + 10 * MAX_INTERVAL)
    sweeper.expect(time.monotonic() + MAX_INTERVAL / 2)  # The timer is set already.
    gateway_clock.jump(MAX_INTERVAL)
    await eventually(lambda: sweep.calls == 1)


async def test_timer_does_not_look_more_often_than_its_least_interval(
    sweeper: Sweeper, sweep: Sweep, gateway_clock: Clock
) -> None:
    sweeper.expect(time.monotonic())
    gateway_clock.jump(MIN_INTERVAL / 2)
    await turns()
    assert not sweep.calls


async def test_stopped_timer_sweeps_nothing(
    sweeper: Sweeper, sweep: Sweep, gateway_clock: Clock
) -> None:
    sweeper.expect(time.monotonic() + 10)
    sweeper.stop()
    gateway_clock.jump(MAX_INTERVAL)
    await turns()
    assert not sweep.calls


async def test_stopped_timer_is_started_by_the_next_deadline(
    sweeper: Sweeper, sweep: Sweep, gateway_clock: Clock
) -> None:
    sweeper.expect(time.monotonic() + 10)
    sweeper.stop()
    sweeper.expect(time.monotonic() + 10)
    gateway_clock.jump(11)
    await eventually(lambda: sweep.calls == 1)


async def test_timer_of_a_closed_loop_is_taken_over(
    sweeper: Sweeper, sweep: Sweep, gateway_clock: Clock
) -> None:
    async def elsewhere() -> None:
        sweeper.expect(time.monotonic() + 10)

    await asyncio.to_thread(asyncio.run, elsewhere())
    sweeper.expect(time.monotonic() + 10)
    gateway_clock.jump(11)
    await eventually(lambda: sweep.calls == 1)


async def test_timer_of_a_stopped_loop_is_taken_over(
    sweeper: Sweeper, sweep: Sweep, gateway_clock: Clock
) -> None:
    async def elsewhere() -> None:
        sweeper.expect(time.monotonic() + 10)

    stopped = asyncio.new_event_loop()
    await asyncio.to_thread(stopped.run_until_complete, elsewhere())
    sweeper.expect(time.monotonic() + 10)
    gateway_clock.jump(11)
    await eventually(lambda: sweep.calls == 1)
    stopped.close()


async def test_timer_of_a_loop_that_runs_again_leaves_the_new_one_alone(
    sweeper: Sweeper, sweep: Sweep, gateway_clock: Clock
) -> None:
    async def elsewhere() -> None:
        sweeper.expect(time.monotonic() + 1)

    stopped = asyncio.new_event_loop()
    await asyncio.to_thread(stopped.run_until_complete, elsewhere())
    sweeper.expect(time.monotonic() + 10)
    gateway_clock.jump(2)
    await asyncio.to_thread(stopped.run_until_complete, turns())
    gateway_clock.jump(9)
    await eventually(lambda: sweep.calls == 1)
    stopped.close()


async def test_timer_looks_earlier_for_an_earlier_deadline(
    sweeper: Sweeper, sweep: Sweep, gateway_clock: Clock
) -> None:
    sweeper.expect(time.monotonic() + MAX_INTERVAL)
    sweeper.expect(time.monotonic() + 2)
    gateway_clock.jump(3)
    await eventually(lambda: sweep.calls == 1)
