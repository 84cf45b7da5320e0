"""Letters from any thread and event loop, and their outcome back there."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from arcly_channels.exceptions import RelayOutcomeUnknown, RelayUnavailable
from arcly_channels.relay import post as posting
from arcly_channels.relay.contract import Kind
from arcly_channels.relay.home import Home
from arcly_channels.relay.letters import Letter
from arcly_channels.relay.post import Post
from arcly_channels.testing.waiting import DEADLINE, eventually, soon

TAKEN = 3
"""What the server says of a letter."""


class Box:
    """Takes letters, in place of shards and of their publishers."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self.take: Callable[[Letter], object] = answer

    def of(self, subject: bytes) -> Any:
        return SimpleNamespace(publisher=SimpleNamespace(post=self.drop))

    def drop(self, letter: Letter) -> None:
        self.letters.append(letter)
        self.take(letter)

    async def post(self, letter: Letter) -> None:
        self.drop(letter)

    def links(self) -> list[Any]:
        return []

    async def stop(self) -> None:
        self.letters.clear()


def answer(letter: Letter) -> None:
    letter.reply = TAKEN
    letter.settle()


def fail(letter: Letter) -> None:
    letter.settle(RelayOutcomeUnknown("no word"))


def keep(letter: Letter) -> None:
    """Say nothing of a letter."""


def letter() -> Letter:
    return Letter(b"subject", Kind.FRAME, 0, b"content")


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def home(box: Box) -> Iterator[Home]:
    home = Home(lambda: box)  # type: ignore[arg-type,return-value]
    yield home
    asyncio.run(home.leave())


@pytest.fixture
def post(home: Home) -> Post:
    return Post(home)


@pytest.fixture
def blocked(home: Home) -> Iterator[Callable[[], None]]:
    """Blocks the loop of the home until the test is over, or what this gives is called."""
    standing, ended = threading.Event(), threading.Event()

    def block(shards: object) -> None:
        standing.set()
        ended.wait(DEADLINE)

    home.enter()
    home.call(block)
    assert standing.wait(DEADLINE)
    yield ended.set
    ended.set()


def in_other_loop(make: Callable[[], Any]) -> Any:
    """Run what `make` returns in an event loop that is not the home's."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(lambda: asyncio.run(make())).result(DEADLINE)


# Outcomes


def test_thread_gets_the_reply(post: Post) -> None:
    assert post.send_now(letter()) == TAKEN


def test_loop_that_is_not_the_home_gets_the_reply(post: Post) -> None:
    assert in_other_loop(lambda: post.send(letter())) == TAKEN


async def test_home_gets_the_reply(post: Post) -> None:
    assert await soon(post.send(letter())) == TAKEN


async def test_loop_does_not_wait_in_plain_code(post: Post, box: Box) -> None:
    box.take = keep
    assert post.send_now(letter()) is None
    assert len(box.letters) == 1


def test_other_loop_does_not_wait_in_plain_code(post: Post, box: Box) -> None:
    async def send() -> None:
        box.take = keep
        assert post.send_now(letter()) is None
        await eventually(lambda: box.letters)

    in_other_loop(send)


def test_thread_is_told_what_went_wrong(post: Post, box: Box) -> None:
    box.take = fail
    with pytest.raises(RelayOutcomeUnknown, match="no word"):
        post.send_now(letter())


def test_other_loop_is_told_what_went_wrong_and_the_log_is_not(
    post: Post, box: Box, caplog: pytest.LogCaptureFixture
) -> None:
    async def send() -> None:
        with pytest.raises(RelayOutcomeUnknown, match="no word"):
            await post.send(letter())
        gc.collect()

    box.take = fail
    in_other_loop(send)
    assert caplog.records == []


def test_who_is_cancelled_in_another_loop_is_just_that(
    post: Post, box: Box, caplog: pytest.LogCaptureFixture
) -> None:
    async def send() -> None:
        sending = asyncio.create_task(post.send(letter()))
        await eventually(lambda: box.letters)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
        fail(box.letters[0])
        await asyncio.sleep(0)
        gc.collect()

    box.take = keep
    in_other_loop(send)
    assert caplog.records == []


# A loop that does not turn


def test_letter_that_was_not_looked_at_in_time_has_reached_nobody_and_never_does(
    post: Post, box: Box, blocked: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "TIMEOUT", 0.01)
    with pytest.raises(RelayUnavailable, match="does not turn"):
        post.send_now(letter())
    with pytest.raises(RelayUnavailable, match="does not turn"):
        in_other_loop(lambda: post.send(letter()))
    blocked()
    asyncio.run(eventually(lambda: len(box.letters) == 2))
    assert all(each.is_withdrawn for each in box.letters)


def test_letter_that_was_written_before_the_loop_stood_is_unknown(
    post: Post, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(letter: Letter) -> None:
        letter.is_written = True

    box.take = write
    monkeypatch.setattr(posting, "TIMEOUT", 0.01)
    with pytest.raises(RelayOutcomeUnknown, match="does not turn"):
        post.send_now(letter())
    with pytest.raises(RelayOutcomeUnknown, match="does not turn"):
        in_other_loop(lambda: post.send(letter()))


def test_no_more_letters_wait_for_a_loop_that_stands_than_may_be_on_their_way(
    post: Post, box: Box, blocked: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "MAX_LETTERS", 3)

    async def drop_in(number: int) -> None:
        for _ in range(number):
            post.send_now(letter())

    in_other_loop(lambda: drop_in(3))
    with pytest.raises(RelayUnavailable, match="does not turn"):
        in_other_loop(lambda: drop_in(1))
    blocked()
    asyncio.run(eventually(lambda: len(box.letters) == 3))
    in_other_loop(lambda: drop_in(1))
    asyncio.run(eventually(lambda: len(box.letters) == 4))
