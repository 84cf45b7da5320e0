"""A parcel on its way out, and those that are to come back to the process that sent them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from arcly_channels.relay.contract import Kind

MAX_EXPECTED = 10_000
"""How many parcels may be expected back at a time: as many as may be sent and not acknowledged."""

Done = asyncio.Future[Any] | concurrent.futures.Future[Any]


class Letter:
    """One parcel, and what has become of it. Belongs to the loop of the links once it is posted.

    `here` is the local half of what was asked for, which runs once; None where there is none. Who
    waits for the outcome has put a future into `done`, which is given the reply of the server: to
    how many receivers a parcel went. A `command` is sent instead of a parcel, if there is one.
    """

    __slots__ = (
        *("command", "content", "deadline", "done", "flags", "has_come_back", "here"),
        *("is_acknowledged", "is_done_here", "is_expected", "is_given_up", "is_over"),
        *("is_withdrawn", "is_written", "kind", "on_reply", "reply", "sequence", "size", "subject"),
    )

    def __init__(
        self,
        subject: bytes,
        kind: Kind,
        flags: int,
        content: bytes,
        here: Callable[[], object] | None = None,
        *,
        command: bytes | None = None,
        on_reply: Callable[[Any], None] | None = None,
    ) -> None:
        self.subject = subject
        self.kind = kind
        self.flags = flags
        self.content = content
        self.size = len(content)
        self.here = here
        self.command = command
        self.on_reply = on_reply
        """Told of the reply, when nobody waits for it."""
        self.done: Done | None = None
        self.deadline = 0.0
        self.sequence = 0
        self.is_written = False
        self.is_withdrawn = False
        """Whether it is not to be written any more."""
        self.is_acknowledged = False
        self.is_given_up = False
        """Whether it was told that its outcome is unknown."""
        self.is_expected = False
        """Whether the local half is due when it comes back, and no earlier."""
        self.has_come_back = False
        self.is_done_here = False
        """Whether the local half has run."""
        self.is_over = False
        """Whether it is not on its way any more."""
        self.reply: Any = 0

    @property
    def is_settled(self) -> bool:
        """Whether nobody waits for it."""
        return self.done is None or self.done.done()

    def again(self) -> Letter:
        """Return this letter as one that can be posted again: it has reached nobody.

        Whoever waits for this one waits for that one, within the same time.
        """
        letter = Letter(
            *(self.subject, self.kind, self.flags, self.content, self.here),
            command=self.command,
            on_reply=self.on_reply,
        )
        if self.is_done_here:
            letter.is_done_here, letter.sequence = True, self.sequence  # Workers know it by that.
        letter.done, letter.deadline = self.done, self.deadline
        self.here = self.done = None
        self.is_written = True  # As far as a thread can tell that takes it back.
        return letter

    def deliver(self) -> None:
        """Run the local half, if it has not run yet; whoever waits is told if it fails."""
        here, self.here = self.here, None
        if here is None:
            return
        self.is_done_here = True
        try:
            here()
        except Exception as error:
            if not self.settle(error):
                raise

    def settle(self, error: BaseException | None = None) -> bool:
        """Tell whoever waits what has become of it; return False if nobody does."""
        done, self.done = self.done, None
        if done is None or done.done():
            return False
        with suppress(asyncio.InvalidStateError, concurrent.futures.InvalidStateError):
            if error is None:
                done.set_result(self.reply)
            else:
                done.set_exception(error)
        return True


class UnderWay(threading.local):
    """What a thread does the local half of."""

    parcel: tuple[int, int] | None = None
    """The node and the sequence of the parcel, which tell it from all others."""


class Expected:
    """The letters whose parcels come back, by their sequence: the oldest comes first.

    `on_lost` is called with one that has arrived at the server and does not come back any more.
    """

    def __init__(self, on_lost: Callable[[Letter], None]) -> None:
        self._letters: dict[int, Letter] = {}
        self._on_lost = on_lost

    def __len__(self) -> int:
        return len(self._letters)

    def add(self, letter: Letter) -> Letter | None:
        """Expect a letter; return the oldest, which is expected no more, if there are too many.

        That is one which the server has, and which is late because much else comes before it.
        """
        self._letters[letter.sequence] = letter
        if len(self._letters) <= MAX_EXPECTED:
            return None
        return self._letters.pop(next(iter(self._letters)))

    def pop(self, sequence: int) -> Letter | None:
        """Return the letter that has come back. Those before it that did not have been lost.

        That cannot be said by one that is not expected: in a cluster, another node may have had it.
        """
        letter = self._letters.pop(sequence, None)
        while letter is not None and self._letters and next(iter(self._letters)) < sequence:
            self._drop(next(iter(self._letters)))
        return letter

    def lose(self) -> None:
        """Expect no more what has arrived at the server, as the link it would come by is lost.

        What is not acknowledged may be on its way to the server yet, and come by the next link.
        """
        for letter in [each for each in self._letters.values() if each.is_acknowledged]:
            self._drop(letter.sequence)

    def _drop(self, sequence: int) -> None:
        letter = self._letters.pop(sequence)
        if letter.is_acknowledged:
            self._on_lost(letter)
