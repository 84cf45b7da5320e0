"""Keeps a link to a server: makes one, and another whenever it is lost."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable

from arcly_channels.relay.link import Link

logger = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two attempts at most: doubled each time, and each time a random part of it, so
that the processes of a project do not all come back at once (full jitter)."""

STEADY = 1.0
"""Seconds that a link must have lasted for the next attempt to be the first again."""

END_AGAIN = 0.1
"""Seconds after which a task that was cancelled, and has not ended, is cancelled again."""

MAX_PROBLEM = 200
"""How many characters are told of an error: some of redis-py's name all that it knows."""

PATIENCE = 1.0
"""Seconds without a link after which it is known to be down, and is not waited for any more."""


class Connector:
    """Calls `on_up` with each new link, and `on_down` when it is lost. Belongs to one event loop.

    `dial` makes a link, or raises; whatever it raises is a reason to try again.
    """

    def __init__(
        self,
        dial: Callable[[], Awaitable[Link]],
        on_up: Callable[[Link], None],
        on_down: Callable[[], None],
    ) -> None:
        self.link: Link | None = None
        self.problem: str | None = None
        """Why there is no link, once an attempt to make one has failed."""
        self._dial = dial
        self._on_up = on_up
        self._on_down = on_down
        self._attempts = 0
        self._since = time.monotonic()
        self._task: asyncio.Task[None] | None = None
        self._is_refused = False

    @property
    def is_down(self) -> bool:
        """Whether there is no link, and nobody should wait for one: it was tried long enough."""
        if self.link is not None or self.problem is None:
            return False
        return time.monotonic() - self._since >= PATIENCE

    def start(self) -> None:
        """Begin. Idempotent."""
        # Where the end of an event loop has cancelled an attempt, there is another.
        if self.link is None and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._connect())

    async def stop(self) -> None:
        """End the link, and make no more. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            await end(task)
        link, self.link = self.link, None
        if link is not None:
            link.on_lost = _nothing
            link.abort()
            await asyncio.sleep(0)  # That is when it ends.

    def refuse(self, problem: str) -> None:
        """Give up a link by which the server does not do what it is for, and try another."""
        self._note(problem)
        self._is_refused = True
        if self.link is not None:
            self.link.abort()

    def prove(self) -> None:
        """Note that the server does what the link is for."""
        if self._is_refused:
            self._is_refused = False
            self._forget_problem()

    async def _connect(self) -> None:
        while True:
            if self._attempts:
                longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (self._attempts - 1))
                await asyncio.sleep(random.uniform(0, longest))  # noqa: S311  # No secret.
            if was_cancelled():
                raise asyncio.CancelledError
            self._attempts += 1
            try:
                link = await self._dial()
            except Exception as error:  # noqa: BLE001  # Told, and tried again.
                self._note((str(error) or type(error).__name__)[:MAX_PROBLEM])
            else:
                if not link.is_lost:
                    break
        self._task = None
        self._go_up(link)

    def _go_up(self, link: Link) -> None:
        if not self._is_refused:  # Else the next one has to show that it is of more use.
            self._forget_problem()
        self.link, self._since = link, time.monotonic()
        link.on_lost = self._go_down
        self._on_up(link)

    def _go_down(self) -> None:
        if time.monotonic() - self._since >= STEADY:
            self._attempts = 0
        self.link, self._since = None, time.monotonic()
        self._on_down()
        self.start()

    def _forget_problem(self) -> None:
        if self.problem is not None:
            self.problem = None
            logger.warning("The relay has its link again")

    def _note(self, problem: str) -> None:
        if problem != self.problem:
            self.problem = problem
            logger.warning("The relay has no link: %s", problem)


def was_cancelled() -> bool:
    """Return whether this task was to end, and has missed it; see `end`. Python 3.11 knows."""
    return bool(getattr(asyncio.current_task(), "cancelling", int)())


async def end(task: asyncio.Task[None]) -> None:
    """Cancel a task, and return when it has ended."""
    while not task.done():
        task.cancel()  # Perhaps not only once: `wait_for` of Python 3.11 may miss it.
        await asyncio.wait([task], timeout=END_AGAIN)


def _nothing() -> None:
    pass
