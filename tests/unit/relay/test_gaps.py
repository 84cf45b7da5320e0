"""What may be missing is told once for each outage, with its whole extent."""

from __future__ import annotations

import asyncio
import time

import pytest

from arcly_channels.relay.contract import Gap
from arcly_channels.relay.gaps import SETTLE, Gaps
from arcly_channels.testing import Clock
from arcly_channels.testing.waiting import eventually, turns


@pytest.fixture
def told() -> list[Gap]:
    return []


@pytest.fixture
async def gaps(told: list[Gap]) -> Gaps:
    return Gaps(told.append)


async def settle(told: list[Gap], gateway_clock: Clock) -> Gap:
    """Let the time pass after which a gap is told, and return it."""
    number = len(told)
    gateway_clock.jump(SETTLE)
    await eventually(lambda: len(told) > number)
    return told[-1]


async def test_gap_is_told_when_it_has_settled(
    gaps: Gaps, told: list[Gap], gateway_clock: Clock
) -> None:
    now = time.time()
    gaps.add(now - 3, now - 1, "the link was lost")
    await turns()
    assert told == []
    since, until, why = await settle(told, gateway_clock)
    assert (since, why) == (now - 3, "the link was lost")
    assert until >= now  # Until then the others may have kept for themselves what they sent.


async def test_what_is_missing_before_a_gap_was_told_is_part_of_it(
    gaps: Gaps, told: list[Gap], gateway_clock: Clock
) -> None:
    later = time.time() + 100
    gaps.add(20, 30, "first")
    gaps.add(10, 25, "second")
    gaps.add(15, later, "third")
    assert await settle(told, gateway_clock) == (10, later, "first")
    await turns()
    assert len(told) == 1


async def test_gap_that_was_told_is_not_told_again(
    gaps: Gaps, told: list[Gap], gateway_clock: Clock
) -> None:
    gaps.add(10, 20, "first")
    gap = await settle(told, gateway_clock)
    gaps.add(12, 18, "again")
    gaps.add(gap.since, gap.until, "again")
    gateway_clock.jump(SETTLE)
    await turns()
    assert told == [gap]


async def test_what_goes_beyond_a_gap_that_was_told_is_another(
    gaps: Gaps, told: list[Gap], gateway_clock: Clock
) -> None:
    gaps.add(10, 20, "first")
    first = await settle(told, gateway_clock)
    gaps.add(15, first.until + 5, "second")
    assert (await settle(told, gateway_clock)).why == "second"


async def test_end_tells_what_is_to_be_told(gaps: Gaps, told: list[Gap]) -> None:
    gaps.add(10, 20, "the link was lost")
    gaps.stop()
    assert [gap.since for gap in told] == [10]
    gaps.stop()
    await asyncio.sleep(0)
    assert len(told) == 1
