"""Which closings are remembered, and for how long."""

from __future__ import annotations

import time

import pytest

from arcly_channels.layers import closings as module
from arcly_channels.layers.closings import Closings
from arcly_channels.testing import Clock


def test_closing_is_found_by_any_of_the_groups() -> None:
    closings, start = Closings(), time.monotonic()
    closings.note("b", 4401, "revoked")
    found = closings.since(start, ["a", "b"])
    assert found is not None
    assert (found.code, found.reason) == (4401, "revoked")
    assert closings.since(start, ["a", "c"]) is None


def test_closing_before_the_start_does_not_count(gateway_clock: Clock) -> None:
    closings = Closings()
    closings.note("a", 4401, "")
    gateway_clock.jump(1)
    assert closings.since(time.monotonic(), ["a"]) is None


def test_closing_is_forgotten_after_a_minute(gateway_clock: Clock) -> None:
    closings, start = Closings(), time.monotonic()
    closings.note("a", 4401, "")
    gateway_clock.jump(59)
    closings.note("b", 4401, "")
    assert closings.since(start, ["a"])
    gateway_clock.jump(2)
    closings.note("c", 4401, "")
    assert closings.since(start, ["a"]) is None
    assert closings.since(start, ["b"])


def test_only_so_many_closings_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    closings, start = Closings(), time.monotonic()
    for group in ("a", "b", "c"):
        closings.note(group, 4401, "")
    assert [bool(closings.since(start, [group])) for group in "abc"] == [False, True, True]


def test_group_that_is_closed_again_is_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    closings, start = Closings(), time.monotonic()
    for group in ("a", "b", "a", "c"):
        closings.note(group, 4401, "")
    assert [bool(closings.since(start, [group])) for group in "abc"] == [True, False, True]
