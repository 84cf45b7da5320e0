"""Sends letters to one server: those of a turn of the loop in two writes, and none twice.

What has become of a letter is one of four things. The server has acknowledged it. Or it has refused
it, and it reached nobody. Or the letter was not written, as there was no link, and reached nobody
either. Or it was written and no answer came: then nobody knows.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial

from arcly_channels.exceptions import RelayUnavailable
from arcly_channels.relay.connector import Connector
from arcly_channels.relay.letters import Letter
from arcly_channels.relay.link import Link, Reply

TIMEOUT = 1.0
"""Seconds after which whoever sent a letter is told that its outcome is unknown."""

MAX_LETTERS, MAX_BYTES = 10_000, 8 * 1024 * 1024
"""How much may be on its way. Who can wait does so from half of that on; a letter alone may be
larger. It is a quarter of what Redis keeps for a subscriber that is behind."""


class Publisher:
    """The way out to one server. Belongs to one event loop.

    `encode` makes the command of a letter that is about to be written. `undelivered` is called with
    a letter that has reached nobody, and why: a word of `stats.DROPPED`, and in words. `on_unknown`
    is called with one that was written and has no answer, and why; `on_refused` with one that the
    server does not take, and what it says.
    """

    def __init__(
        self,
        dial: Callable[[], Awaitable[Link]],
        encode: Callable[[Letter], bytes],
        undelivered: Callable[[Letter, str, str], None],
        on_unknown: Callable[[Letter, str], None],
        on_refused: Callable[[Letter, Exception], None],
        on_up: Callable[[], None],
    ) -> None:
        # When a link is lost, each letter is told so by its own, and the rest waits for the next.
        self.connector = Connector(dial, self._go_up, lambda: None)
        self._encode = encode
        self._undelivered = undelivered
        self._on_unknown = on_unknown
        self._on_refused = on_refused
        self._on_up = on_up
        self._loop = asyncio.get_running_loop()
        self._queue: list[Letter] = []
        self._awaited: deque[Letter] = deque()
        """The letters whose time may run out; the oldest comes first."""
        self._letters = self._bytes = 0
        """What is on its way: posted, and not answered, or expected back yet."""
        self.trouble: str | None = None
        """Why it is not known that the last letter was taken, if the link stands nevertheless."""
        self._is_flush_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._crowd: set[asyncio.Future[None]] = set()
        self._is_idle: asyncio.Future[None] | None = None
        """Done when nothing is on its way any more, for whoever ends this."""

    @property
    def is_crowded(self) -> bool:
        """Whether so much is on its way that whoever can should wait."""
        return 2 * self._letters >= MAX_LETTERS or 2 * self._bytes >= MAX_BYTES

    async def room(self) -> None:
        """Wait until more may be posted; raise `RelayUnavailable` when that takes too long."""
        deadline = self._loop.time() + TIMEOUT
        while self.is_crowded:
            waiting: asyncio.Future[None] = self._loop.create_future()
            self._crowd.add(waiting)
            try:
                await asyncio.wait([waiting], timeout=deadline - self._loop.time())
            finally:
                self._crowd.discard(waiting)
            if not waiting.done():
                raise RelayUnavailable("too much is on its way already")

    def post(self, letter: Letter) -> None:
        """Send a letter in this turn of the loop, or as soon as there is a link."""
        if letter.is_withdrawn:
            return
        if self.connector.is_down:
            self._undelivered(letter, "down", self.connector.problem or "there is no link")
            return
        if self._letters >= MAX_LETTERS or (self._bytes >= MAX_BYTES and self._letters):
            self._undelivered(letter, "crowded", "too much is on its way already")
            return
        letter.deadline = letter.deadline or time.monotonic() + TIMEOUT
        self._letters += 1
        self._bytes += letter.size
        self._queue.append(letter)
        self._awaited.append(letter)
        if self._timer is None:
            self._timer = self._loop.call_later(TIMEOUT, self._look_for_late)
        if not self._is_flush_due:
            self._flush()  # The first of a turn leaves at once, and the rest of it together.
            self._is_flush_due = True
            self._loop.call_soon(self._flush)

    def end(self, letter: Letter) -> None:
        """Be done with a letter that the server has, and that is to come back no more."""
        self._let_go(letter)
        letter.settle()

    def take_back(self) -> list[Letter]:
        """Return what was not written, to be posted elsewhere."""
        queue, self._queue = self._queue, []
        letters = [letter for letter in queue if not letter.is_withdrawn]
        for letter in letters:
            self._let_go(letter)
        return [letter.again() for letter in letters]

    async def stop(self) -> None:
        """End the link, when what was posted has been answered, or its time is over."""
        if self._letters and not self.connector.is_down:
            self.connector.start()  # The end of an event loop cancels what makes a link.
            self._is_idle = self._loop.create_future()
            await asyncio.wait([self._is_idle], timeout=TIMEOUT)
        for letter in self._queue:
            self._withdraw(letter)
        for letter in tuple(self._awaited):
            if letter.is_acknowledged:
                self.end(letter)  # It does not come back any more.
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        await self.connector.stop()

    # Inside

    def _go_up(self, link: Link) -> None:
        self.trouble = None
        self._flush()
        self._on_up()

    def _flush(self) -> None:
        self._is_flush_due = False
        link = self.connector.link
        if link is None or not self._queue:
            return
        queue, self._queue = self._queue, []
        for letter in queue:
            letter.is_written = True  # First: another thread withdraws it, and looks at this then.
        letters = [letter for letter in queue if not letter.is_withdrawn]
        if letters:
            data = b"".join([self._encode(letter) for letter in letters])
            link.write(data, [partial(self._answered, letter) for letter in letters])
        if len(letters) < len(queue):  # Some were withdrawn.
            for letter in set(queue).difference(letters):
                self._let_go(letter)

    def _answered(self, letter: Letter, reply: Reply) -> None:
        if isinstance(reply, ConnectionResetError):
            self._let_go(letter)
            self._give_up(letter, "the link was lost")
        elif isinstance(reply, Exception):
            self._let_go(letter)
            self._on_refused(letter, reply)
        else:
            letter.is_acknowledged = True
            letter.reply = reply
            self.trouble = None
            if letter.on_reply is not None and letter.is_settled:
                letter.on_reply(reply)
            if not letter.is_expected or letter.has_come_back:
                self.end(letter)

    def _look_for_late(self) -> None:
        """Tell whoever waits for a letter whose time is over what is known of it."""
        now, awaited = time.monotonic(), self._awaited
        while awaited and (awaited[0].is_over or awaited[0].deadline <= now):
            letter = awaited.popleft()
            if letter.is_over:
                continue
            if not letter.is_written:
                self._withdraw(letter)
            elif letter.is_acknowledged:
                self.end(letter)  # It has not come back: that is the subscriber's to find out.
            elif not letter.is_settled:
                self.trouble = f"no answer came within {TIMEOUT:g} s"
                self._give_up(letter, self.trouble)
        wait = awaited[0].deadline - now if awaited else 0
        self._timer = self._loop.call_later(wait, self._look_for_late) if awaited else None

    def _withdraw(self, letter: Letter) -> None:
        """Do not write what is in the queue yet."""
        self._let_go(letter)
        if not letter.is_withdrawn:
            letter.is_withdrawn = True
            why = self.connector.problem or "no link could be made in time"
            self._undelivered(letter, "down", why)

    def _give_up(self, letter: Letter, why: str) -> None:
        if not letter.is_given_up:
            letter.is_given_up = True
            self._on_unknown(letter, why)

    def _let_go(self, letter: Letter) -> None:
        if letter.is_over:
            return
        letter.is_over = True
        self._letters -= 1
        self._bytes -= letter.size
        while self._awaited and self._awaited[0].is_over:
            self._awaited.popleft()
        if self._is_idle is not None and not self._letters and not self._is_idle.done():
            self._is_idle.set_result(None)
        if self._crowd and not self.is_crowded:
            crowd, self._crowd = self._crowd, set()
            for waiting in crowd:
                if not waiting.done():
                    waiting.set_result(None)
