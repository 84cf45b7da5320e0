"""When claims end, whatever is done to the clock of the machine meanwhile."""

from __future__ import annotations

from typing import Any

import pytest

from arcly_channels.identity.claims import Deadline
from tests.conftest import Clock

EXPIRY = 2_000_000_000.0


class Clocks:
    """The clock of the wall and the one that nobody sets, at a time before the expiry."""

    def __init__(self, before: float) -> None:
        self.wall, self.monotonic = Clock(), Clock()
        self.wall.now = EXPIRY - before

    def pass_time(self, seconds: float) -> None:
        self.wall.advance(seconds)
        self.monotonic.advance(seconds)

    def deadline(self, *, grace: float = 0, exp: Any = EXPIRY) -> Deadline | None:
        return Deadline.of({"exp": exp}, grace=grace, wall=self.wall, monotonic=self.monotonic)


def deadline(clocks: Clocks, grace: float = 0) -> Deadline:
    found = clocks.deadline(grace=grace)
    assert found is not None
    return found


def test_claims_last_until_they_expire() -> None:
    clocks = Clocks(before=100)
    subject = deadline(clocks)
    assert subject.time_left() == 100
    clocks.pass_time(99)
    assert subject.time_left() == 1
    clocks.pass_time(2)
    assert subject.time_left() == -1


def test_a_grace_is_added() -> None:
    assert deadline(Clocks(before=100), grace=5).time_left() == 105


def test_a_clock_set_back_does_not_prolong_claims() -> None:
    clocks = Clocks(before=100)
    subject = deadline(clocks)
    clocks.wall.advance(-3600)
    assert subject.time_left() == 100
    clocks.pass_time(101)
    assert subject.time_left() == -1


def test_a_clock_set_forward_ends_claims() -> None:
    clocks = Clocks(before=100)
    subject = deadline(clocks)
    clocks.wall.advance(3600)
    assert subject.time_left() == -3500


def test_time_in_which_the_machine_slept_counts() -> None:
    clocks = Clocks(before=100)
    subject = deadline(clocks)
    clocks.wall.advance(60)  # The monotonic clock of Linux stands still meanwhile.
    assert subject.time_left() == 40


@pytest.mark.parametrize("exp", [None, "soon", True, 1e300])
def test_claims_without_an_end_have_no_deadline(exp: Any) -> None:
    assert Clocks(before=100).deadline(exp=exp) is None


def test_anonymous_clients_have_no_deadline() -> None:
    assert Deadline.of(None) is None


def test_without_clocks_those_of_the_machine_count() -> None:
    subject = Deadline.of({"exp": 1})
    assert subject is not None
    assert subject.time_left() < 0
