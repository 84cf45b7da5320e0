"""Whose turn it is in a consumer: one message at a time, and the other consumers between them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any
from weakref import ref

from channels.exceptions import AcceptConnection, DenyConnection, StopConsumer

from arcly_channels.layers.message import Message
from arcly_channels.transports.base import Receive

SLICE = 0.002
"""Seconds of handling after which a consumer lets the others run, …"""

FEW = 32
"""… or messages: a server whose queue is never empty would not let them."""


class Turns:
    """Runs the messages of one consumer, from the client and from other consumers alike.

    Holds no reference to it, nor to its task or to what was raised, whose traceback leads to both:
    so there is no cycle, and the consumer is freed when it ends.
    """

    __slots__ = (
        *("_cuts", "_ending", "_is_receiving", "_is_waiting", "_lock", "_messages", "_seconds"),
        *("_task", "loop"),
    )

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._ending: BaseException | None = None
        self._task: ref[asyncio.Task[Any]] | None = None
        """That of the consumer."""
        self._is_receiving = self._is_waiting = False
        self._cuts = 0
        self.loop = asyncio.get_running_loop()
        self._messages = 0
        self._seconds = 0.0

    async def take(self, handle: Callable[[Message], Awaitable[None]], message: Message) -> None:
        """Handle one message when no other is being handled; then let other consumers run."""
        await self._lock.acquire()  # `async with` takes twice as long: `benchmarks/echo.py`.
        try:
            started = time.monotonic()
            await handle(message)
            self._messages += 1
            self._seconds += time.monotonic() - started
        finally:
            self._lock.release()
        if self._messages >= FEW or self._seconds >= SLICE:
            self._messages, self._seconds = 0, 0.0
            await asyncio.sleep(0)

    async def receive(self, receive: Receive) -> Message:
        """Return what comes next, or raise what the consumer was told to end with."""
        if self._ending is not None:
            raise self._taken_ending()
        if self._task is None:
            task = asyncio.current_task()
            self._task = None if task is None else ref(task)
        self._is_receiving = True
        try:
            return await receive()
        except asyncio.CancelledError:
            if self._ending is None:
                raise  # By the server, not by `fail`.
            if not self.was_cut():
                uncancel()
            raise self._taken_ending() from None
        finally:
            self._is_receiving = False

    async def wait(self, wait: Callable[[], Awaitable[None]]) -> None:
        """Wait for what a message needs, but no longer than until the consumer is told to end."""
        if self._ending is not None:
            return
        self._is_waiting = True
        try:
            await wait()
        except asyncio.CancelledError:
            if self._ending is None or (not self.was_cut() and uncancel()):
                raise  # By the server, maybe as well.
        finally:
            self._is_waiting = False

    @property
    def is_busy(self) -> bool:
        """Whether a message is being handled, so that no other is received."""
        return not self._is_receiving

    @property
    def is_ending(self) -> bool:
        """Whether the consumer was told to end."""
        return self._ending is not None

    def end(self) -> None:
        """End the consumer, after the message that it is handling, if any."""
        self.fail(StopConsumer())

    def fail(self, ending: BaseException) -> None:
        """Do the same, with an exception for the consumer to end with."""
        if self._ending is None:
            self._ending = ending
            task = None if self._task is None else self._task()
            if (self._is_receiving or self._is_waiting) and task is not None:
                task.cancel()

    def _taken_ending(self) -> BaseException:
        ending, self._ending = self._ending or StopConsumer(), None
        return ending

    def cancel(self) -> None:
        """Cancel what the consumer is doing, whatever it is, and end it."""
        if self._ending is None:
            self._ending = StopConsumer()
        task = None if self._task is None else self._task()
        if task is not None and not task.done():
            self._cuts += 1
            task.cancel()

    def was_cut(self) -> bool:
        """Return whether a `CancelledError` was by `cancel`: no news to the server, and over."""
        cuts, self._cuts = self._cuts, 0
        for _ in range(cuts):
            uncancel()
        return cuts > 0


def was_cancelled() -> bool:
    """Return whether a `CancelledError` that came up in this task was meant for it.

    Else it is that of something the task has awaited. Python 3.10 cannot tell, and says yes.
    """
    cancelling = getattr(asyncio.current_task(), "cancelling", None)
    return cancelling is None or cancelling() > 0


def ends_consumer(error: BaseException) -> bool:
    """Return whether what a handler raised is for Channels or the server, not for its client."""
    if isinstance(error, asyncio.CancelledError):
        return was_cancelled()
    return isinstance(error, (StopConsumer, AcceptConnection, DenyConnection))


def as_meant(error: asyncio.CancelledError) -> BaseException:
    """Return what is to leave a consumer for `error`: a server takes a cancellation for its own."""
    if was_cancelled():
        return error
    failure = RuntimeError("a gateway awaited something that was cancelled")
    failure.__cause__ = error
    return failure


def uncancel() -> int:
    """Forget one cancellation of this task; return how many more there are. 3.10 counts none."""
    forget = getattr(asyncio.current_task(), "uncancel", None)
    return 0 if forget is None else int(forget())
