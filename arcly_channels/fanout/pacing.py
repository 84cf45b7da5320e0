"""How long senders wait for clients that are behind: the only place where anybody waits for one.

A burst should not cost a client that reads its connection, and no client may hold senders up. So a
sender that can wait does so before its frame while somebody in its own audience is behind and goes
on reading, and all such waiting is paid from budgets of the audience and of the process. No
connection has a budget, so coming back brings none. When a budget is spent nobody waits, and whose
outbox is full is evicted.

`docs/explanation/pacing.md` tells the same with a drawing.
"""

from __future__ import annotations

import asyncio
import math
import threading
import time
from asyncio import _get_running_loop
from collections.abc import Awaitable, Callable, Collection, Generator, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import closing, suppress

from arcly_channels.exceptions import LoopStalled
from arcly_channels.fanout.audience import Audience, One
from arcly_channels.fanout.budget import Budget
from arcly_channels.fanout.lag import Lag, Mark
from arcly_channels.fanout.lanes import Lane, finish
from arcly_channels.fanout.outbox import Outbox

LONGEST = 0.25
"""Seconds that one call waits for clients, at most."""

SHORTEST = 0.005
"""Seconds below which it is not worth to wait: a budget that is nearly spent is."""

AT_ONCE = 0.5
"""Seconds that the senders of one audience wait for clients in a burst, all together."""

SHARE = 0.05
"""What an audience regains of that in every second: its share of the time in the long run."""

PROCESS_AT_ONCE, PROCESS_SHARE = 1.0, 0.1
"""The same for all audiences of the process together."""

LOOK = 0.025
"""Seconds between two looks at whether the clients that are waited for go on reading."""

LOOP_TIMEOUT = 15.0
"""Seconds that a sender waits for an event loop that takes no calls."""

LOOP_LOOK = 0.5
"""Seconds between two looks at whether that loop has ended."""

_FEW = 64
"""How many audiences are kept before looking which of them are no longer needed."""


class _Watch:
    """In which audiences an outbox is behind. Used in its lane only."""

    __slots__ = ("audiences", "held_up", "is_given_up", "pacer")

    def __init__(self, pacer: Pacer, held_up: float) -> None:
        self.pacer = pacer
        self.held_up = held_up
        self.audiences: set[Audience] = set()
        self.is_given_up = False

    def relieved(self, outbox: Outbox) -> None:
        outbox.watch = None
        # The rest of the time our side was behind, as where a server takes its time for every
        # frame. What senders wait for that is nobody's debt.
        self.pacer.forget(outbox, self.audiences, outbox.held_up() - self.held_up)


class Pacer:
    """Makes senders wait, for clients that are behind and for loops that are busy.

    May be used from any thread and event loop. `lanes_of` gives the lanes that an audience is in.
    """

    def __init__(
        self,
        lanes_of: Callable[[Audience], Collection[Lane]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lanes_of = lanes_of
        self._clock = clock
        self._process = Budget(PROCESS_AT_ONCE, PROCESS_SHARE, clock())
        self._direct = Budget(AT_ONCE, SHARE, clock())  # Of all that is sent to one connection.
        self._lags: dict[Audience, Lag] = {}
        self._prune_at = _FEW
        self.waits = 0
        """How often senders waited for clients, …"""
        self.waited = 0.0
        """… and for how many seconds in all."""
        self._lock = threading.Lock()  # Guards all of the above, and what lags and budgets hold.

    # Who waits

    async def wait(self, audience: Audience, size: int = 0) -> list[Lane]:
        """Wait, in any loop, until a frame of `size` bytes may be sent to `audience`.

        Returns the lanes where a place is kept for it, which `Connections.deliver` uses or gives
        back. Raises `LoopStalled` when another loop takes no calls. Nothing was sent then.
        """
        places: list[Lane] = []
        if audience not in self._lags:  # Nearly always: `benchmarks/echo.py`.
            lanes = self._lanes_of(audience)
            if all(lane.is_here() and not lane.is_ahead() for lane in lanes):
                return places
        with closing(self._waits(audience, size, places)) as waits:
            for future, seconds in waits:
                if isinstance(future, Future):
                    await asyncio.wait([asyncio.wrap_future(future)], timeout=seconds)
                else:
                    await future
        return places

    def wait_in_thread(self, audience: Audience, size: int = 0) -> list[Lane]:
        """Do what `wait` does, in a plain thread. A running event loop is never made to wait."""
        places: list[Lane] = []
        if _get_running_loop() is None:
            with closing(self._waits(audience, size, places)) as waits:
                for future, seconds in waits:
                    if isinstance(future, Future):  # No lane is ahead of a plain thread.
                        with suppress(FutureTimeoutError):
                            future.result(seconds)
        return places

    def _waits(
        self, audience: Audience, size: int, places: list[Lane]
    ) -> Generator[tuple[Future[None] | Awaitable[None], float], None, None]:
        """Yield what a sender has to wait for, and how long at most, one after the other.

        Clients come last, and are looked at again after every wait: whoever is let through sends
        before anybody else does, so that any number of senders stop at the same mark. No place is
        kept while something is waited for: a loop that is stalled would use up those of others.
        """
        patience, left = LONGEST, LOOP_TIMEOUT
        while True:
            lanes = self._lanes_of(audience)
            for lane in lanes:
                if lane.is_here() and lane.is_ahead():
                    yield lane.passing(), LOOP_TIMEOUT
            while (crowded := _reserve(lanes, size, places)) is not None:
                left = yield from _wait_for_place(crowded, left)
            lag = self._lags.get(audience)
            wait = None if lag is None else self._begin_wait(lag, patience)
            if lag is None or wait is None:
                return
            release(places, size)
            started = self._clock()
            try:
                yield wait
            finally:
                waited = self._clock() - started
                self._end_wait(lag, wait[0], waited)
            patience -= waited

    def _begin_wait(self, lag: Lag, patience: float) -> tuple[Future[None], float] | None:
        """Pay for a wait until nobody is behind; None when nobody is to be waited for."""
        with self._lock:
            now = self._clock()
            seconds = min(patience, *(budget.left(now) for budget in lag.budgets))
            if not lag.behind or seconds < SHORTEST:
                return None
            for budget in lag.budgets:
                budget.enter(seconds, now)
            caught_up: Future[None] = Future()
            lag.waiters.add(caught_up)
            lanes = {outbox.lane for outbox in lag.behind} - lag.lanes_looking
            lag.lanes_looking |= lanes
        for lane in lanes:
            lane.call_later(LOOK, self._look, lag, lane)
        return caught_up, seconds

    def _end_wait(self, lag: Lag, caught_up: Future[None], waited: float) -> None:
        with self._lock:
            self.waits += 1
            self.waited += waited
            if caught_up in lag.waiters:  # Else it was ended when the last had caught up.
                lag.waiters.discard(caught_up)
                self._stop_paying(lag, self._clock())

    # For tests and debugging

    def is_behind(self, audience: Audience) -> bool:
        """Return whether somebody in `audience` is behind who is waited for."""
        lag = self._lags.get(audience)
        return lag is not None and bool(lag.behind)

    def left(self, audience: Audience) -> float:
        """Return for how many seconds the next sender to `audience` may wait."""
        with self._lock:
            lag, now = self._lags.get(audience), self._clock()
            left = AT_ONCE if lag is None else lag.budget.left(now)
            return min(left, self._process.left(now))

    def __len__(self) -> int:
        """How many audiences there is a note on."""
        return len(self._lags)

    # Who is waited for

    def watch(self, audience: Audience, outbox: Outbox) -> None:
        """Note that `outbox` is behind with what is sent to `audience`. In its lane."""
        if not outbox.lane.has_turns:
            return
        watch = outbox.watch
        if not isinstance(watch, _Watch):
            outbox.watch = watch = _Watch(self, outbox.held_up())
        if watch.is_given_up or audience in watch.audiences:
            return
        watch.audiences.add(audience)
        mark = Mark(outbox)
        with self._lock:
            lag = self._lags.get(audience) or self._add_lag(audience)
            lag.behind[outbox] = mark

    def forget(
        self, outbox: Outbox, audiences: Iterable[Audience], blame: float = math.inf
    ) -> None:
        """Note that `outbox` is no longer to be waited for by those who send to `audiences`.

        Its client is to `blame` for so many seconds of the time in which it was behind.
        """
        caught_up: list[Future[None]] = []
        with self._lock:
            for audience in audiences:
                lag = self._lags[audience]
                lag.behind.pop(outbox, None)
                lag.blame = max(lag.blame, blame)
                if lag.behind:
                    continue
                now = self._clock()
                for budget in lag.budgets:
                    budget.excuse(now, lag.blame)
                lag.blame = 0.0
                # Paid for up to now: how soon a thread wakes up is not the clients' doing.
                for _ in lag.waiters:
                    self._stop_paying(lag, now)
                caught_up.extend(lag.waiters)
                lag.waiters.clear()  # Another lane that frees them, too, would find them done.
        for future in caught_up:  # Not under the lock: a loop is woken.
            finish(future)

    def _look(self, lag: Lag, lane: Lane) -> None:
        """Give up on those who take nothing, and look again while somebody waits. In `lane`."""
        with self._lock:
            behind = [(outbox, mark) for outbox, mark in lag.behind.items() if outbox.lane is lane]
        for outbox, mark in behind:
            outbox.flush()  # What the loop had no time for is not the client's doing.
            if outbox.is_pressed and not mark.look(outbox):
                self._give_up(outbox)
        with self._lock:
            is_over = not lag.waiters or all(each.lane is not lane for each in lag.behind)
            if is_over:
                lag.lanes_looking.discard(lane)
        if not is_over:
            lane.call_later(LOOK, self._look, lag, lane)

    def _give_up(self, outbox: Outbox) -> None:
        """Wait no more for `outbox`, nor look at it, until it has been relieved."""
        watch = outbox.watch
        if isinstance(watch, _Watch):
            watch.is_given_up = True
            audiences, watch.audiences = watch.audiences, set()
            self.forget(outbox, audiences)

    def _stop_paying(self, lag: Lag, now: float) -> None:
        """End one wait in the budgets. With the lock held."""
        for budget in lag.budgets:
            budget.leave(now)

    def _add_lag(self, audience: Audience) -> Lag:
        """Make the note on an audience. With the lock held."""
        now = self._clock()
        if len(self._lags) >= self._prune_at:
            self._lags = {each: lag for each, lag in self._lags.items() if _is_needed(lag, now)}
            self._prune_at = max(_FEW, 2 * len(self._lags))
        budget = self._direct if isinstance(audience, One) else Budget(AT_ONCE, SHARE, now)
        lag = self._lags[audience] = Lag(budget, self._process)
        return lag


def _is_needed(lag: Lag, now: float) -> bool:
    return bool(lag.behind or lag.waiters) or not lag.budget.is_full(now)


def _reserve(lanes: Iterable[Lane], size: int, places: list[Lane]) -> Future[None] | None:
    """Keep a place in all of `lanes` that are elsewhere; or else none, and return what to await."""
    for lane in lanes:
        if lane.is_here():
            continue
        if (crowded := lane.reserve(size)) is not None:
            release(places, size)
            return crowded
        places.append(lane)
    return None


def _wait_for_place(
    crowded: Future[None], left: float
) -> Generator[tuple[Future[None], float], None, float]:
    """Yield what to wait for before asking again; return for how long that may go on.

    Not for all of that at once: a loop that ends tells nobody, but does not refuse a place.
    """
    try:
        yield crowded, min(left, LOOP_LOOK)
    finally:
        crowded.cancel()  # Or its lane would keep it for as long as it is stalled.
    if not crowded.cancelled():
        return LOOP_TIMEOUT
    if left <= LOOP_LOOK:
        raise LoopStalled(LOOP_TIMEOUT)
    return left - LOOP_LOOK


def release(places: list[Lane], size: int) -> None:
    """Give back the places that `Pacer.wait` has returned for a frame of `size` bytes."""
    for lane in places:
        lane.release(size)
    places.clear()
