"""Rates, and the token buckets that keep to them."""

from __future__ import annotations

from typing import Any

import pytest

from arcly_channels.session.rate import Bucket, Rate


def bucket(rate: str, burst: int | None = None, now: float = 0) -> Bucket:
    parsed = Rate.of(rate, burst, where="here")
    assert parsed is not None
    return Bucket(parsed, now)


@pytest.mark.parametrize(
    ("text", "per_second", "burst"),
    [("20/s", 20, 20), ("1/s", 1, 1), ("5/m", 5 / 60, 5), ("100/h", 100 / 3600, 100)],
)
def test_rate_is_what_it_says(text: str, per_second: float, burst: int) -> None:
    assert Rate.of(text, None, where="here") == Rate(per_second, burst)


def test_burst_may_be_another_number() -> None:
    assert Rate.of("20/s", 3, where="here") == Rate(20, 3)


NO_RATES = ["", "20", "20/", "/s", "20/d", "0/s", "-1/s", "1.5/s", "20 /s", "20/S", "٣/s", "20/s\n"]


@pytest.mark.parametrize("rate", [*NO_RATES, "1" * 10 + "/s", b"20/s", 20, True])
def test_what_is_no_rate_is_refused(rate: Any) -> None:
    with pytest.raises(TypeError, match="here: a rate is '20/s', '5/m' or '100/h', say, not"):
        Rate.of(rate, None, where="here")


@pytest.mark.parametrize("burst", [0, -1, 1.0, "5", True])
def test_burst_that_is_no_number_is_refused(burst: Any) -> None:
    with pytest.raises(TypeError, match="here: burst: a whole number of at least 1"):
        Rate.of("20/s", burst, where="here")


def test_burst_without_a_rate_is_refused() -> None:
    with pytest.raises(TypeError, match="a burst needs a rate"):
        Rate.of(None, 5, where="here")


def test_burst_is_taken_at_once_and_no_more() -> None:
    five = bucket("5/m")
    assert [five.take(0) for _ in range(7)] == [0, 0, 0, 0, 0, 12, 12]


def test_token_comes_back_in_its_time() -> None:
    twenty = bucket("20/s", burst=1)
    assert (twenty.take(0), twenty.take(0.03), twenty.take(0.05)) == (0, 0.02, 0)


def test_one_who_waits_as_told_is_let_through() -> None:
    for number in range(1, 500):
        now = number * 1234.567
        one = bucket(f"{number}/h", burst=1, now=now)
        assert one.take(now) == 0
        assert one.take(now + one.take(now)) == 0


def test_no_more_than_the_burst_is_saved() -> None:
    two = bucket("1/s", burst=2)
    assert [two.take(1000) for _ in range(3)] == [0, 0, 1]
