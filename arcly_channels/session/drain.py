"""The end of a server: each of its connections is closed with 1012 and said goodbye to, in time."""

from __future__ import annotations

import asyncio
import logging
from asyncio import _get_running_loop
from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from arcly_channels.conf.settings import get_settings
from arcly_channels.fork import runs_again_in_children
from arcly_channels.layers.base import GatewayLayer
from arcly_channels.session.limits import places
from arcly_channels.transports.base import CLOSE_TIMEOUT, Transport

logger = logging.getLogger(__name__)

SLICE = 0.002
"""Seconds for which connections are closed before others get a turn."""

_POLL = 0.01  # Seconds between two looks at who is still there; not every server has an event.


class Plan(NamedTuple):
    """When what happens in a drain, in seconds of the loop's clock.

    Of 10 seconds a handler has 1 before it is cancelled, and again for as often as it ignores that;
    `on_disconnect` has 8, what is left is cut off after 9, and the server has the last one.
    """

    patience: float
    last_call: float
    end: float
    giving_up: float

    @classmethod
    def of(cls, now: float, seconds: float) -> Plan:
        """Return the plan for a drain of so many seconds that begins now."""
        rest = min(1.0, seconds / 5)
        return cls(
            patience=min(CLOSE_TIMEOUT, seconds / 4),
            last_call=now + seconds - 2 * rest,
            end=now + seconds - rest,
            giving_up=now + seconds - rest / 2,
        )


class Leaving(Protocol):
    """What a session is to the drain."""

    @property
    def layer(self) -> GatewayLayer: ...

    @property
    def loop(self) -> asyncio.AbstractEventLoop: ...

    @property
    def transport(self) -> Transport | None: ...

    @property
    def is_ending(self) -> bool: ...

    @property
    def has_ended(self) -> bool: ...

    def shut_down(self) -> None: ...

    def cancel(self) -> None: ...


class _Leaver:
    """A connection that the drain waits for: its consumer first, then what its transport does."""

    __slots__ = ("session", "transport")

    def __init__(self, session: Leaving) -> None:
        self.session = session
        self.transport: Transport | None = session.transport

    @property
    def is_over(self) -> bool:
        return self.session.has_ended and (self.transport is None or self.transport.is_over)

    def give_up(self) -> None:
        self.session.cancel()
        if self.transport is not None:
            self.transport.abort()


class Drain:
    """Closes all connections of a loop once, whoever asks for it and however often."""

    @runs_again_in_children
    def __init__(self, sessions: Callable[[], Iterable[Leaving]]) -> None:
        self._sessions = sessions
        # One entry for each loop whose server ended, of which a process has few.
        self._tasks: dict[asyncio.AbstractEventLoop, asyncio.Task[None]] = {}

    @property
    def is_on(self) -> bool:
        """Whether the server of the running loop is about to end: nobody is let in any more.

        Where no loop runs, as in a view that is not async, whether any server is.
        """
        if not self._tasks:
            return False
        loop = _get_running_loop()
        if loop is None:
            return any(not each.is_closed() for each in list(self._tasks))
        return loop in self._tasks

    async def run(self) -> None:
        """Close every connection of the running loop; return when they are gone.

        Takes at most `DRAIN_DEADLINE` seconds, less a tenth of it (at most half a second) for the
        server, and with 0 waits for nobody.
        """
        loop = asyncio.get_running_loop()
        if loop not in self._tasks:
            self._tasks[loop] = loop.create_task(self._run(loop))
        await asyncio.shield(self._tasks[loop])

    async def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        seconds = get_settings().DRAIN_DEADLINE
        plan = Plan.of(loop.time(), seconds)
        leavers = [_Leaver(each) for each in self._sessions() if each.loop is loop]
        logger.info("The server ends: %d connections are told so", len(leavers))
        layers = {each.session.layer for each in leavers}
        for layer in layers:
            layer.leaving = len(leavers)
        try:
            await _close(leavers)
            if seconds:
                await _see_off(leavers, plan, loop)
        finally:
            for layer in layers:
                layer.leaving = 0


async def _close(leavers: list[_Leaver]) -> None:
    """Tell everybody to go, and let others run meanwhile."""
    loop = asyncio.get_running_loop()
    since = loop.time()
    for leaver in leavers:
        try:
            leaver.session.shut_down()
        except Exception:
            logger.exception("A connection could not be closed")
        if loop.time() - since > SLICE:
            await asyncio.sleep(0)
            since = loop.time()


async def _see_off(leavers: list[_Leaver], plan: Plan, loop: asyncio.AbstractEventLoop) -> None:
    """Wait until all are gone, and hurry those on who take too long."""
    next_call = loop.time() + plan.patience
    while not await _are_over(leavers, loop, min(next_call, plan.last_call)):
        if loop.time() >= plan.last_call:
            break
        for leaver in leavers:
            if not leaver.session.is_ending:  # A handler, which may have ignored the last call.
                leaver.session.cancel()
        next_call += plan.patience
    if leavers:
        logger.warning("%d connections take too long to end, and are cancelled", len(leavers))
    for leaver in leavers:
        leaver.session.cancel()
    if not await _are_over(leavers, loop, plan.end):
        for leaver in leavers:
            leaver.give_up()
        if not await _are_over(leavers, loop, plan.giving_up):
            logger.warning("%d connections did not end in time", len(leavers))


async def _are_over(
    leavers: list[_Leaver], loop: asyncio.AbstractEventLoop, deadline: float
) -> bool:
    """Wait until all are gone, or until the deadline; leave in `leavers` who is still there."""
    while True:
        while leavers and leavers[-1].is_over:  # The last alone: looking at all takes too long.
            leavers.pop()
        if not leavers:
            return True
        if loop.time() >= deadline:
            leavers[:] = [each for each in leavers if not each.is_over]
            return not leavers
        await asyncio.sleep(_POLL)


drain = Drain(places.holders)
"""That of this process."""
