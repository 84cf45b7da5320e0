"""A letter and what becomes of it, and the letters that are to come back."""

from __future__ import annotations

import asyncio
import concurrent.futures

import pytest

from arcly_channels.relay import letters
from arcly_channels.relay.contract import Kind
from arcly_channels.relay.letters import Expected, Letter


def letter(sequence: int = 0, *, is_acknowledged: bool = True) -> Letter:
    made = Letter(b"subject", Kind.FRAME, 0, b"content")
    made.sequence = sequence
    made.is_acknowledged = is_acknowledged
    return made


# One letter


def test_local_half_runs_once() -> None:
    calls: list[int] = []
    one = Letter(b"subject", Kind.FRAME, 0, b"content", lambda: calls.append(1))
    one.deliver()
    one.deliver()
    assert calls == [1]


def fail() -> None:
    raise LookupError("the local half fails")


def test_who_waits_is_told_that_the_local_half_has_failed() -> None:
    one = Letter(b"subject", Kind.FRAME, 0, b"content", fail)
    done: concurrent.futures.Future[int] = concurrent.futures.Future()
    one.done = done
    one.deliver()
    assert isinstance(done.exception(), LookupError)


def test_local_half_that_fails_raises_where_nobody_waits() -> None:
    with pytest.raises(LookupError):
        Letter(b"subject", Kind.FRAME, 0, b"content", fail).deliver()


async def test_whoever_waits_is_told_once() -> None:
    one = letter()
    one.reply = 3
    one.done = done = asyncio.get_running_loop().create_future()
    assert not one.is_settled
    assert one.settle()
    assert one.is_settled
    assert not one.settle(LookupError())
    assert done.result() == 3


async def test_who_does_not_wait_any_more_is_not_told() -> None:
    one = letter()
    one.done = done = asyncio.get_running_loop().create_future()
    done.cancel()
    assert one.is_settled
    assert not one.settle()


async def test_letter_that_reached_nobody_can_be_posted_again() -> None:
    first = Letter(b"subject", Kind.FRAME, 1, b"content", lambda: None)
    first.done = done = asyncio.get_running_loop().create_future()
    first.sequence, first.deadline, first.is_expected = 7, 3.0, True
    again = first.again()
    assert (again.subject, again.kind, again.flags) == (b"subject", Kind.FRAME, 1)
    assert (again.content, again.deadline) == (b"content", 3.0)
    assert (again.sequence, again.is_expected, again.is_written) == (0, False, False)
    assert not first.settle()
    assert not done.done()
    again.settle()
    assert done.done()


def test_local_half_does_not_run_again_with_a_letter_that_is_posted_again() -> None:
    calls: list[int] = []
    one = Letter(b"subject", Kind.FRAME, 0, b"content", lambda: calls.append(1))
    one.sequence = 7
    one.deliver()
    again = one.again()
    again.deliver()
    assert calls == [1]
    assert again.sequence == 7  # The others are to know it by the same as those here.


# Those that are to come back


@pytest.fixture
def lost() -> list[int]:
    """The sequences of the letters that do not come back."""
    return []


@pytest.fixture
def expected(lost: list[int]) -> Expected:
    return Expected(lambda letter: lost.append(letter.sequence))


def test_letter_comes_back_once(expected: Expected) -> None:
    expected.add(one := letter(1))
    assert expected.pop(1) is one
    assert expected.pop(1) is None
    assert len(expected) == 0


def test_letter_of_nobody_is_none(expected: Expected, lost: list[int]) -> None:
    expected.add(letter(5))
    assert expected.pop(3) is None
    assert len(expected) == 1
    assert lost == []


def test_letter_of_nobody_says_nothing_of_the_others(expected: Expected, lost: list[int]) -> None:
    """In a cluster, it may have gone out by another node."""
    expected.add(letter(5))
    assert expected.pop(7) is None
    assert lost == []


def test_those_before_one_that_has_come_back_are_lost(expected: Expected, lost: list[int]) -> None:
    for sequence in range(1, 6):
        expected.add(letter(sequence))
    assert expected.pop(3) is not None
    assert lost == [1, 2]
    assert len(expected) == 2


def test_with_the_link_all_are_lost_that_the_server_has(
    expected: Expected, lost: list[int]
) -> None:
    expected.add(letter(1))
    expected.add(under_way := letter(2, is_acknowledged=False))
    expected.lose()
    assert lost == [1]
    assert expected.pop(2) is under_way  # It comes by the next link.


def test_oldest_is_forgotten_when_there_are_too_many(
    expected: Expected, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(letters, "MAX_EXPECTED", 3)
    for sequence in range(1, 6):
        expected.add(letter(sequence))
    assert len(expected) == 3
    assert expected.pop(2) is None
