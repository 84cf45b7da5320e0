"""Questions to other processes, which are answered within a second or not at all."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from arcly_channels.exceptions import RelayUnanswered
from arcly_channels.relay.contract import Destination, Kind, Node

logger = logging.getLogger(__name__)

TIMEOUT = 1.0
"""Seconds that the others have for an answer."""

MAX_ASKED = 1000
"""How many answers may be under way here; what is asked beyond that gets none."""

Tell = Callable[[Kind, Destination, Any], Awaitable[int]]
"""Sends a parcel, and returns how many processes it has reached."""


class Questions:
    """Asks the other processes, and answers them. Belongs to the loop of the links.

    `answer` is called with what somebody asks, and about what.
    """

    def __init__(self, node: str, tell: Tell, answer: Callable[[str, Any], Awaitable[Any]]) -> None:
        self._node = node
        self._tell = tell
        self._answer = answer
        self._numbers = itertools.count(1)
        self._asked: dict[int, asyncio.Queue[Any]] = {}
        self._answering: set[asyncio.Task[None]] = set()

    async def ask(self, to: Destination, what: str, about: Any, *, hears_itself: bool) -> list[Any]:
        """Return the answers of the other processes; raise `RelayUnanswered` if some are missing.

        `hears_itself` says that this process is one of those whom the question reaches.
        """
        number = next(self._numbers)
        answers: asyncio.Queue[Any] = asyncio.Queue()
        self._asked[number] = answers
        found: list[Any] = []
        try:
            reached = await self._tell(Kind.ASK, to, [self._node, number, what, about])
            others = reached - hears_itself
            try:
                await asyncio.wait_for(_collect(answers, found, others), TIMEOUT)
            except asyncio.TimeoutError:
                raise RelayUnanswered(found, others - len(found)) from None
        finally:
            del self._asked[number]
        return found

    def take_answer(self, body: Any) -> None:
        """Take an answer from another process; one that is too late is nobody's."""
        number, answer = body
        answers = self._asked.get(number)
        if answers is not None:
            answers.put_nowait(answer)

    def take_question(self, body: Any) -> None:
        """Answer a question from another process, soon."""
        node, number, what, about = body
        if len(self._answering) >= MAX_ASKED:
            return
        task = asyncio.get_running_loop().create_task(self._reply(node, number, what, about))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def stop(self) -> None:
        """Answer nobody any more."""
        for task in tuple(self._answering):
            task.cancel()
        if self._answering:
            await asyncio.wait(self._answering)

    async def _reply(self, node: str, number: int, what: str, about: Any) -> None:
        try:
            answer = await self._answer(what, about)
            await self._tell(Kind.ANSWER, Node(node), [number, answer])
        except Exception:
            logger.exception("A question of another process has no answer")


async def _collect(answers: asyncio.Queue[Any], found: list[Any], number: int) -> None:
    while len(found) < number:
        found.append(await answers.get())
