"""What one client may send: events, bytes and mistakes."""

from __future__ import annotations

import pytest

from arcly_channels.conf.limits import OFF, RateLimit
from arcly_channels.session.allowance import Allowance


def taken(allowance: Allowance, times: int, *, size: int = 0, now: float = 100.0) -> int:
    """Return how many of so many events are let through."""
    return sum(not allowance.take(size, now) for _ in range(times))


def test_burst_comes_through_and_then_the_rate() -> None:
    allowance = Allowance(RateLimit(events=4, burst=2))
    assert taken(allowance, 20) == 8
    assert taken(allowance, 20, now=101) == 4
    assert taken(allowance, 20, now=1000) == 8


def test_bytes_count_by_themselves() -> None:
    allowance = Allowance(RateLimit(events=0, bytes=1000, burst=2))
    assert taken(allowance, 20, size=500) == 4
    assert taken(allowance, 20, size=0) == 0
    assert taken(allowance, 20, size=500, now=101) == 2


def test_one_event_may_be_larger_than_the_bucket() -> None:
    allowance = Allowance(RateLimit(bytes=100, burst=1))
    assert taken(allowance, 2, size=1000) == 1
    assert allowance.take(1, 105) == pytest.approx(4)


def test_who_is_told_to_wait_may_come_then() -> None:
    allowance = Allowance(RateLimit(events=4, burst=2))
    taken(allowance, 8)
    wait = allowance.take(0, 100)
    assert taken(allowance, 1, now=100 + wait - 0.0001) == 0
    assert taken(allowance, 1, now=100 + wait + 0.0001) == 1


def test_what_is_refused_costs_nothing() -> None:
    allowance = Allowance(RateLimit(events=1, burst=1))
    assert taken(allowance, 1000) == 1
    assert taken(allowance, 1, now=101.001) == 1


def test_mistakes_are_forgiven_one_a_second() -> None:
    allowance = Allowance(RateLimit(errors=3))
    assert [allowance.err(100) for _ in range(4)] == [False, False, False, True]
    assert not allowance.err(102)
    allowance = Allowance(RateLimit(errors=3))
    assert not any(allowance.err(second) for second in range(1000))


def test_limit_that_is_off_is_none() -> None:
    allowance = Allowance(OFF)
    assert taken(allowance, 100_000, size=2**20) == 100_000
    assert not any(allowance.err(0) for _ in range(1000))
