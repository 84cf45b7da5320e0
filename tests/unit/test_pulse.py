"""How late event loops are, felt once a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from arcly_channels.fanout.lanes import Lane
from arcly_channels.fanout.outbox import Outbox
from arcly_channels.fanout.pulse import INTERVAL, STALLED, Pulse
from arcly_channels.fanout.pump import Pump
from arcly_channels.registry import ConnectionRegistry
from tests.conftest import Clock


class Timers(Lane):
    """A lane whose timers come when a test says so."""

    has_turns = True

    def __init__(self) -> None:
        super().__init__()
        self.due: list[Callable[[], object]] = []

    def call_later(self, seconds: float, function: Callable[..., object], *args: object) -> None:
        assert seconds == INTERVAL
        self.due.append(lambda: function(*args))

    def beat(self) -> None:
        self.due.pop()()


def test_delay_is_by_how_much_a_beat_is_late(clock: Clock) -> None:
    lane, pulse = Timers(), Pulse(lambda lane: True, clock)
    pulse.start(lane)
    for late in (0.0, 0.3):
        clock.advance(INTERVAL + late)
        lane.beat()
    assert sum(lane.tally.delays.numbers) == 2
    assert round(lane.tally.delays.seconds, 6) == 0.3


def test_loop_that_does_not_beat_is_overdue(clock: Clock) -> None:
    lane, pulse = Timers(), Pulse(lambda lane: True, clock)
    assert pulse.overdue() == 0
    pulse.start(lane)
    clock.advance(INTERVAL)
    assert pulse.overdue() == 0
    clock.advance(STALLED)
    assert pulse.overdue() == STALLED
    lane.beat()
    assert pulse.overdue() == 0


def test_loop_without_connections_has_no_timer_until_it_gets_one(clock: Clock) -> None:
    needed = [False, False, True]
    lane, pulse = Timers(), Pulse(lambda lane: needed.pop(0), clock)
    pulse.start(lane)
    lane.beat()
    assert lane.due == []
    pulse.start(lane)
    pulse.start(lane)
    assert len(lane.due) == 1
    lane.beat()
    assert len(lane.due) == 1


def test_connection_of_another_thread_that_came_meanwhile_is_seen(clock: Clock) -> None:
    needed = [False, True]
    lane, pulse = Timers(), Pulse(lambda lane: needed.pop(0), clock)
    pulse.start(lane)
    lane.beat()
    assert len(lane.due) == 1


async def test_registry_feels_the_loops_of_its_connections(clock: Clock) -> None:
    registry = ConnectionRegistry(clock=clock)
    registry.register(Outbox(Pump(asyncio.get_running_loop())))
    clock.advance(INTERVAL + STALLED)
    assert registry.overdue() == STALLED


def test_loop_that_has_ended_is_not_overdue(clock: Clock) -> None:
    lane, pulse = Timers(), Pulse(lambda lane: True, clock)
    pulse.start(lane)
    clock.advance(10 * STALLED)
    lane.is_dead = True
    assert pulse.overdue() == 0
