"""How long the hooks of a handshake may take, and what becomes of one that does not end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any

from channels.exceptions import StopConsumer

from arcly_channels.exceptions import HandshakeTimedOut
from arcly_channels.gateway.inbox import CANCEL_TIMEOUT
from arcly_channels.gateway.turns import uncancel


class TimeLimit:
    """Has what runs inside cancelled after `seconds`, and raises `HandshakeTimedOut` for it.

    What runs inside stays in its own task, with its context. If it goes on though it was cancelled,
    `give_up` runs beside it, and the consumer ends when it does. No limit if `seconds` is 0.
    """

    __slots__ = ("_ending", "_give_up", "_is_over", "_seconds", "_task", "_timer")

    def __init__(self, seconds: float, give_up: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._seconds = seconds
        self._give_up = give_up
        self._is_over = False
        self._task = asyncio.current_task()
        self._timer: asyncio.TimerHandle | None = None
        self._ending: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        if self._seconds:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._cancel)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self._is_over:
            return
        if uncancel() and kind is asyncio.CancelledError:
            return  # The server has cancelled it as well, and that counts.
        if self._ending is not None:
            await asyncio.wait([self._ending])
            raise StopConsumer from error
        raise HandshakeTimedOut(self._seconds) from error

    def _cancel(self) -> None:
        self._is_over = True
        if self._task is not None:
            self._task.cancel()
        self._timer = asyncio.get_running_loop().call_later(CANCEL_TIMEOUT, self._leave_alone)

    def _leave_alone(self) -> None:
        self._ending = asyncio.get_running_loop().create_task(self._give_up())
