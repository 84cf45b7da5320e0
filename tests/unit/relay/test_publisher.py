"""What becomes of a letter: it is acknowledged, refused, never written, or nobody knows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from arcly_channels.exceptions import RelayUnavailable
from arcly_channels.relay import publisher as publishing
from arcly_channels.relay.connector import PATIENCE
from arcly_channels.relay.contract import Kind
from arcly_channels.relay.letters import Letter
from arcly_channels.relay.link import command
from arcly_channels.relay.publisher import TIMEOUT, Publisher
from arcly_channels.testing import Clock
from arcly_channels.testing.waiting import eventually, soon, turns
from tests.unit.relay.obedient import ObedientServer

REFUSED = ConnectionRefusedError("nobody is there")
TAKEN = b":1\r\n"
"""What a server says that has taken a letter, for one receiver."""


class Office:
    """What is told of the letters that have not arrived for certain: the numbers, and why."""

    def __init__(self) -> None:
        self.undelivered: list[tuple[bytes, str]] = []
        self.unknown: list[bytes] = []
        self.ups = 0

    def on_undelivered(self, letter: Letter, what: str, why: str) -> None:
        self.undelivered.append((letter.content, what))
        letter.settle(RelayUnavailable(why))

    def on_unknown(self, letter: Letter, why: str) -> None:
        self.unknown.append(letter.content)
        letter.settle(LookupError(why))

    def on_refused(self, letter: Letter, error: Exception) -> None:
        self.on_undelivered(letter, "refused", str(error))

    def on_up(self) -> None:
        self.ups += 1


@pytest.fixture
def office() -> Office:
    return Office()


@pytest.fixture
async def publisher(
    server: ObedientServer, office: Office, no_pauses: None
) -> AsyncIterator[Publisher]:
    """A publisher that has not begun yet."""
    publisher = Publisher(
        server.dial,
        encoded,
        office.on_undelivered,
        office.on_unknown,
        office.on_refused,
        office.on_up,
    )
    yield publisher
    server.refuses = REFUSED
    for wire in server.wires:
        wire.cut()
    await publisher.stop()


@pytest.fixture
async def linked(publisher: Publisher) -> Publisher:
    publisher.connector.start()
    await eventually(lambda: publisher.connector.link)
    return publisher


def encoded(letter: Letter) -> bytes:
    return command(b"PUBLISH", letter.subject, letter.content)


def letter(number: int = 0, **given: Any) -> Letter:
    made = Letter(b"subject", Kind.FRAME, 0, b"%d" % number, **given)
    made.done = asyncio.get_running_loop().create_future()
    return made


def post(publisher: Publisher, *numbers: int) -> list[Any]:
    """Post letters, and return what tells of their outcome."""
    letters = [letter(number) for number in numbers]
    outcomes = [each.done for each in letters]
    for each in letters:
        publisher.post(each)
    return outcomes


def written(server: ObedientServer) -> list[int]:
    """Return the numbers of the letters that came by the last link, in their order."""
    return [int(words[2]) for words in server.commands]


async def down(publisher: Publisher, server: ObedientServer, gateway_clock: Clock) -> None:
    """Have it be known that there is no link."""
    server.refuses = REFUSED
    publisher.connector.start()
    await eventually(lambda: publisher.connector.problem)
    gateway_clock.jump(PATIENCE)


# Acknowledged


async def test_letter_is_done_when_the_server_has_said_so(
    linked: Publisher, server: ObedientServer
) -> None:
    (done,) = post(linked, 7)
    await turns()
    assert written(server) == [7]
    assert not done.done()
    server.say(b":3\r\n")
    assert await soon(done) == 3


async def test_letters_of_a_turn_leave_in_two_writes_at_most(
    linked: Publisher, server: ObedientServer
) -> None:
    post(linked, *range(100))
    await turns()
    assert written(server) == list(range(100))
    assert len(server.wire.written) <= 2


async def test_letters_of_later_turns_leave_in_their_order(
    linked: Publisher, server: ObedientServer
) -> None:
    for start in range(0, 100, 10):
        post(linked, *range(start, start + 10))
        await asyncio.sleep(0)
    await turns()
    assert written(server) == list(range(100))


async def test_letter_that_nobody_waits_for_tells_its_reply(
    linked: Publisher, server: ObedientServer
) -> None:
    replies: list[Any] = []
    posted = letter(on_reply=replies.append)
    posted.done = None
    linked.post(posted)
    server.say(b":4\r\n")
    assert replies == [4]


async def test_letter_that_is_to_come_back_is_done_when_it_has(
    linked: Publisher, server: ObedientServer
) -> None:
    posted = letter()
    posted.is_expected = True
    linked.post(posted)
    server.say(TAKEN)
    assert not posted.is_settled
    linked.end(posted)
    assert posted.is_settled


async def test_letter_that_the_server_has_and_that_does_not_come_back_is_done_in_time(
    linked: Publisher, server: ObedientServer, gateway_clock: Clock, office: Office
) -> None:
    posted = letter()
    posted.is_expected = True
    linked.post(posted)
    server.say(TAKEN)
    gateway_clock.jump(TIMEOUT)
    await eventually(lambda: posted.is_settled)
    assert office.unknown == []


# Refused


async def test_letter_that_the_server_refuses_has_reached_nobody(
    linked: Publisher, server: ObedientServer, office: Office
) -> None:
    done = post(linked, 1, 2)
    server.say(b"-OOM no memory\r\n")
    await turns()
    server.say(TAKEN)
    with pytest.raises(RelayUnavailable, match="no memory"):
        await soon(done[0])
    assert await soon(done[1]) == 1
    assert office.undelivered == [(b"1", "refused")]


# Written, without an answer


async def test_outcome_is_unknown_when_no_answer_comes_in_time(
    linked: Publisher, gateway_clock: Clock, office: Office
) -> None:
    (done,) = post(linked, 1)
    await turns()
    gateway_clock.jump(TIMEOUT)
    with pytest.raises(LookupError, match="no answer"):
        await soon(done)
    assert office.unknown == [b"1"]


async def test_outcome_is_unknown_when_the_link_is_lost(
    linked: Publisher, server: ObedientServer, office: Office
) -> None:
    done = post(linked, 1, 2)
    await turns()
    server.wire.cut()
    for each in done:
        with pytest.raises(LookupError, match="link was lost"):
            await soon(each)
    assert office.unknown == [b"1", b"2"]


async def test_outcome_is_told_once_though_the_link_is_lost_later(
    linked: Publisher, server: ObedientServer, gateway_clock: Clock, office: Office
) -> None:
    post(linked, 1)
    await turns()
    gateway_clock.jump(TIMEOUT)
    await eventually(lambda: office.unknown)
    server.wire.cut()
    await eventually(lambda: len(server.wires) == 2)
    assert office.unknown == [b"1"]


async def test_nothing_that_was_written_is_written_again(
    linked: Publisher, server: ObedientServer
) -> None:
    post(linked, 1)
    await turns()
    server.wire.cut()
    await eventually(lambda: len(server.wires) == 2 and linked.connector.link)
    post(linked, 2)
    await turns()
    assert written(server) == [2]


# Not written


async def test_letter_waits_for_the_first_link(
    publisher: Publisher, server: ObedientServer, office: Office
) -> None:
    (done,) = post(publisher, 1)
    await turns()
    publisher.connector.start()
    await eventually(lambda: server.wires and server.wire.written)
    assert office.ups == 1
    server.say(TAKEN)
    assert await soon(done) == 1


async def test_letter_that_finds_no_link_in_time_has_reached_nobody_and_never_does(
    publisher: Publisher, server: ObedientServer, gateway_clock: Clock, office: Office
) -> None:
    server.refuses = REFUSED
    publisher.connector.start()
    (done,) = post(publisher, 1)
    await eventually(lambda: publisher.connector.problem)
    gateway_clock.jump(TIMEOUT)
    with pytest.raises(RelayUnavailable, match="nobody is there"):
        await soon(done)
    assert office.undelivered == [(b"1", "down")]
    server.refuses = None
    await eventually(lambda: publisher.connector.link)
    await turns()
    assert server.wire.written == []


async def test_where_there_is_no_link_for_sure_nobody_waits(
    publisher: Publisher, server: ObedientServer, gateway_clock: Clock, office: Office
) -> None:
    await down(publisher, server, gateway_clock)
    (done,) = post(publisher, 1)
    assert done.done()
    assert office.undelivered == [(b"1", "down")]
    with pytest.raises(RelayUnavailable):
        done.result()


async def test_letter_that_was_withdrawn_is_not_written_and_makes_room(
    publisher: Publisher, server: ObedientServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "MAX_LETTERS", 2)
    first, second = letter(1), letter(2)
    publisher.post(first)
    publisher.post(second)
    first.is_withdrawn = True  # By a thread that has waited for long enough.
    publisher.connector.start()
    await eventually(lambda: server.wires and server.wire.written)
    assert written(server) == [2]
    third = letter(3)
    publisher.post(third)
    await turns()
    assert written(server) == [2, 3]


async def test_letter_that_was_withdrawn_before_it_was_posted_is_not_written(
    linked: Publisher, server: ObedientServer
) -> None:
    posted = letter()
    posted.is_withdrawn = True
    linked.post(posted)
    await turns()
    assert server.wire.written == []


async def test_withdrawn_letter_is_seen_as_written_or_is_not_written(
    linked: Publisher, server: ObedientServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread withdraws a letter, and looks then whether it was written; at any moment."""
    posted = letter()
    seen_as_written: list[bool] = []

    def encode(letter: Letter) -> bytes:
        posted.is_withdrawn = True
        seen_as_written.append(posted.is_written)
        return encoded(letter)

    monkeypatch.setattr(linked, "_encode", encode)
    linked.post(posted)
    await turns()
    assert seen_as_written == [True]


# Too much


async def test_who_can_waits_from_half_of_what_may_be_on_its_way(
    linked: Publisher, server: ObedientServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "MAX_LETTERS", 4)
    post(linked, 1)
    assert not linked.is_crowded
    post(linked, 2)
    assert linked.is_crowded
    waiting = asyncio.create_task(linked.room())
    await turns()
    assert not waiting.done()
    server.say(TAKEN)
    await soon(waiting)


async def test_who_waits_for_too_long_is_told(
    linked: Publisher, monkeypatch: pytest.MonkeyPatch, gateway_clock: Clock
) -> None:
    monkeypatch.setattr(publishing, "MAX_LETTERS", 2)
    post(linked, 1)
    waiting = asyncio.create_task(linked.room())
    await turns()
    gateway_clock.jump(TIMEOUT)
    with pytest.raises(RelayUnavailable, match="too much"):
        await soon(waiting)


async def test_what_is_too_much_reaches_nobody(
    linked: Publisher, server: ObedientServer, monkeypatch: pytest.MonkeyPatch, office: Office
) -> None:
    monkeypatch.setattr(publishing, "MAX_LETTERS", 2)
    done = post(linked, 1, 2, 3)
    await turns()
    assert office.undelivered == [(b"3", "crowded")]
    with pytest.raises(RelayUnavailable, match="too much"):
        await soon(done[2])
    assert written(server) == [1, 2]


async def test_bytes_count_as_letters_do_and_one_alone_may_be_larger(
    linked: Publisher, server: ObedientServer, monkeypatch: pytest.MonkeyPatch, office: Office
) -> None:
    monkeypatch.setattr(publishing, "MAX_BYTES", 4)
    post(linked, 1_000_000, 2)
    await turns()
    assert written(server) == [1_000_000]
    assert office.undelivered == [(b"2", "crowded")]
    server.say(TAKEN)
    post(linked, 3)
    await turns()
    assert written(server) == [1_000_000, 3]


# The end


async def test_end_waits_for_the_answers(linked: Publisher, server: ObedientServer) -> None:
    (done,) = post(linked, 1)
    ending = asyncio.create_task(linked.stop())
    await turns()
    assert not ending.done()
    server.say(TAKEN)
    await soon(ending)
    assert done.result() == 1
    assert server.wire.link is not None
    assert server.wire.link.is_lost


async def test_at_the_end_nobody_waits_for_a_letter_that_has_not_come_back(
    linked: Publisher, server: ObedientServer, gateway_clock: Clock
) -> None:
    expected = letter(1)
    expected.is_expected, done = True, expected.done
    linked.post(expected)
    server.say(TAKEN)
    ending = asyncio.create_task(linked.stop())
    await turns()
    gateway_clock.jump(TIMEOUT)
    await soon(ending)
    assert done is not None
    assert done.result() == 1


async def test_letters_that_were_not_written_are_taken_back(
    publisher: Publisher, server: ObedientServer
) -> None:
    first, second = post(publisher, 1, 2)
    taken = publisher.take_back()
    assert [each.content for each in taken] == [b"1", b"2"]
    publisher.connector.start()
    await eventually(lambda: publisher.connector.link)
    assert written(server) == []
    publisher.post(taken[1])
    assert written(server) == [2]
    server.say(TAKEN)
    assert await soon(second) == 1
    assert not first.done()
    taken[0].settle()


async def test_end_waits_for_the_first_link(publisher: Publisher, server: ObedientServer) -> None:
    (done,) = post(publisher, 1)
    ending = asyncio.create_task(publisher.stop())
    await eventually(lambda: server.wires and server.wire.written)
    server.say(TAKEN)
    await soon(ending)
    assert done.result() == 1


async def test_end_does_not_wait_for_a_server_that_says_nothing(
    linked: Publisher, gateway_clock: Clock, office: Office
) -> None:
    (done,) = post(linked, 1)
    ending = asyncio.create_task(linked.stop())
    await turns()
    gateway_clock.jump(TIMEOUT)
    await soon(ending)
    assert isinstance(done.exception(), LookupError)
    assert office.unknown == [b"1"]


async def test_at_the_end_nobody_waits_for_a_letter_that_was_not_written(
    publisher: Publisher, server: ObedientServer, gateway_clock: Clock
) -> None:
    server.refuses = REFUSED
    publisher.connector.start()
    (done,) = post(publisher, 1)
    await eventually(lambda: publisher.connector.problem)
    gateway_clock.jump(
        PATIENCE - 0.001
    )  # The time of the letter is not over, nor is the link down.
    await publisher.stop()
    with pytest.raises(RelayUnavailable):
        await soon(done)
