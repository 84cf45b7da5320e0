"""How a letter gets to the links, from whatever thread or event loop, and its outcome back."""

from __future__ import annotations

import asyncio
import concurrent.futures
from asyncio import _get_running_loop
from collections import deque
from contextlib import suppress

from arcly_channels.exceptions import RelayOutcomeUnknown, RelayUnavailable
from arcly_channels.relay.home import STANDS, Home, is_done_within
from arcly_channels.relay.letters import Letter
from arcly_channels.relay.link import Reply
from arcly_channels.relay.publisher import MAX_LETTERS, TIMEOUT
from arcly_channels.relay.shards import Shards

GRACE = 0.1
"""Seconds after the time of a letter within which whoever waits in a thread should be told."""


class Post:
    """Where letters are handed in. For use in any thread and event loop."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._box: deque[Letter] = deque()
        """What was handed in elsewhere, for the loop of the links to take."""
        self._told: Shards | None = None
        """Who was told that there is something, and has not looked yet."""

    async def send(self, letter: Letter) -> Reply:
        """Send a letter, and return the reply to it.

        Raises `RelayUnavailable` if it reached nobody, and `RelayOutcomeUnknown`.
        """
        shards = self._home.enter()
        if shards is not None:
            letter.done = done = asyncio.get_running_loop().create_future()
            await shards.post(letter)
            return await done
        answered = self._hand_in(letter)
        waiting = asyncio.wrap_future(answered)
        if not await is_done_within(TIMEOUT + GRACE, waiting):
            _take_back(letter, answered)
        return await waiting

    def send_now(self, letter: Letter) -> Reply:
        """Do the same in a thread, which waits.

        In a running event loop, nothing is waited for: what goes wrong is counted there, and the
        reply is None.
        """
        if _get_running_loop() is not None:
            self.drop_in(letter)
            return None
        answered = self._hand_in(letter)
        with suppress(concurrent.futures.TimeoutError):
            answered.exception(TIMEOUT + GRACE)
        _take_back(letter, answered)
        return answered.result()

    def drop_in(self, letter: Letter) -> None:
        """Send a letter that nobody waits for; raise `RelayUnavailable` if far too many wait."""
        shards = self._home.enter()
        if shards is not None:
            shards.of(letter.subject).publisher.post(letter)
        else:
            self._put_in(letter)

    def _hand_in(self, letter: Letter) -> concurrent.futures.Future[Reply]:
        answered: concurrent.futures.Future[Reply] = concurrent.futures.Future()
        letter.done = answered
        self._home.enter()
        self._put_in(letter)
        return answered

    def _put_in(self, letter: Letter) -> None:
        if len(self._box) >= MAX_LETTERS:
            raise RelayUnavailable(STANDS)
        self._box.append(letter)  # First: whoever empties the box lets itself be told again before.
        shards = self._home.shards
        if shards is not self._told:
            self._told = shards
            self._home.call(self._empty)

    def _empty(self, shards: Shards) -> None:
        self._told = None
        with suppress(IndexError):  # Nothing is left; another loop may empty it, too, as one moves.
            while True:
                letter = self._box.popleft()
                shards.of(letter.subject).publisher.post(letter)


def _take_back(letter: Letter, answered: concurrent.futures.Future[Reply]) -> None:
    """Give up a letter that has no answer; raise what is known of it."""
    if not answered.done() and answered.cancel():
        letter.is_withdrawn = True
        raise RelayOutcomeUnknown(STANDS) if letter.is_written else RelayUnavailable(STANDS)
