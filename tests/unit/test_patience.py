"""How long senders wait for a connection that lags behind."""

from __future__ import annotations

import pytest

from arcly_channels.fanout.outbox import Outbox
from arcly_channels.fanout.pacing import CREDIT, REGAINED, STALL, Patience
from arcly_channels.wire.envelope import Frame

START = 100.0


@pytest.fixture
def outbox() -> Outbox:
    outbox = Outbox()
    for _ in range(100):
        outbox.put(Frame(b"frame"))
    return outbox


@pytest.fixture
def patience(outbox: Outbox) -> Patience:
    patience = Patience(START)
    patience.renew(outbox, START)
    return patience


def test_peer_that_has_just_fallen_behind_gets_a_moment(patience: Patience, outbox: Outbox) -> None:
    assert patience.left(outbox, START) == pytest.approx(STALL)


def test_peer_that_takes_nothing_is_given_up(patience: Patience, outbox: Outbox) -> None:
    assert patience.left(outbox, START + STALL) <= 0


def test_peer_that_takes_a_frame_gets_another_moment(patience: Patience, outbox: Outbox) -> None:
    outbox.take()
    assert patience.left(outbox, START + STALL) == pytest.approx(STALL)


def test_peer_that_was_given_up_is_waited_for_when_it_reads_again(
    patience: Patience, outbox: Outbox
) -> None:
    assert patience.left(outbox, START + 10 * STALL) <= 0
    outbox.take()
    assert patience.left(outbox, START + 10 * STALL) > 0


def test_waiting_uses_up_the_credit(patience: Patience, outbox: Outbox) -> None:
    patience.charge(START, START + CREDIT)
    outbox.take()
    assert patience.left(outbox, START + CREDIT) <= 0


def test_senders_that_wait_together_are_charged_once(patience: Patience, outbox: Outbox) -> None:
    half = START + CREDIT / 2
    for _ in range(3):
        patience.charge(START, half)
    outbox.take()
    assert patience.left(outbox, half) > 0


def test_time_in_which_nobody_waited_is_free(patience: Patience, outbox: Outbox) -> None:
    later = START + 50
    patience.charge(later, later + CREDIT / 2)
    outbox.take()
    assert patience.left(outbox, later + CREDIT / 2) == pytest.approx(STALL)


def test_credit_is_regained_slowly(patience: Patience, outbox: Outbox) -> None:
    end = START + CREDIT
    patience.charge(START, end)
    patience.renew(outbox, end + 1)
    assert patience.left(outbox, end + 1) == pytest.approx(REGAINED)


def test_credit_is_never_more_than_at_first(patience: Patience, outbox: Outbox) -> None:
    later = START + 1_000_000
    patience.renew(outbox, later)
    patience.charge(later, later + CREDIT)
    outbox.take()
    assert patience.left(outbox, later + CREDIT) <= 0
