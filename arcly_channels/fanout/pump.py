"""The lane of an event loop: outboxes fill during a turn of the loop and are emptied after it.

Calls from other threads and loops are posted to it. Senders that can wait do so in `settle`, or in
`run` when they are plain threads: so a burst is slowed to what readers take instead of evicting
them. A client that takes nothing is hardly waited for; see `patience`.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import partial
from typing import NamedTuple

from arcly_channels.exceptions import LoopStalled
from arcly_channels.fanout.outbox import MAX_BYTES, Concerns, Lane, Outbox, everyone
from arcly_channels.fanout.pacing import Patience

logger = logging.getLogger(__name__)

SLICE = 0.002
"""Seconds that one flush may hold the loop before other work gets a turn.

A task that wakes up from a timer waits for up to three slices: `benchmarks/loop_delay.py`.
"""

FEW = 32
"""How many outboxes are emptied before looking at the clock again."""

BURST_CALLS = 32
BURST_FRAMES = 10_000
"""After so many calls, or frames in them, a sender that can wait lets the flush catch up."""

MAX_POSTED = 64
MAX_POSTED_BYTES = MAX_BYTES // 4
"""How many calls from elsewhere, or bytes in them, may wait before their senders are made to."""

POST_TIMEOUT = 15.0
"""Seconds that a thread waits for a loop that does not take its calls; above `patience.CREDIT`."""


class _Call(NamedTuple):
    function: Callable[..., object]
    args: tuple[object, ...]
    size: int


class Pump(Lane):
    """The lane of one event loop, whose thread alone touches the outboxes."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.loop = loop
        self._is_running = False
        self._is_flush_due = False
        self._flush_passed: asyncio.Future[None] | None = None
        self._calls = 0
        self._enqueued_before = 0
        self._pressed: dict[Outbox, Patience] = {}
        self._relieved: asyncio.Future[None] | None = None
        self._posted: deque[_Call] = deque()
        self._posted_bytes = 0
        self._posted_lock = threading.Lock()
        self._max_posted = MAX_POSTED
        self._max_posted_bytes = MAX_POSTED_BYTES
        self._settling: set[asyncio.Task[None]] = set()
        self._is_postman_called = False

    @property
    def is_dead(self) -> bool:  # type: ignore[override]  # A constant of the base, a fact here.
        return self.loop.is_closed()

    # Running

    def run(
        self,
        function: Callable[..., object],
        *args: object,
        size: int = 0,
        concerns: Concerns = everyone,
    ) -> None:
        """Call `function` at once in the loop's own thread, else post it to the loop.

        A plain thread is made to wait as in `settle`, and gets `LoopStalled` when the loop does not
        take what was posted before; this call is not posted then. A running loop is never made to
        wait here.
        """
        running = _running_loop()
        if running is None and self._is_ahead():
            self._wait_in_thread(self._post_settling(concerns))
        self._run(running, _Call(function, args, size))

    def run_unpaced(self, function: Callable[..., object], *args: object) -> None:
        self._run(_running_loop(), _Call(function, args, 0))

    def admit(self, outbox: Outbox) -> None:
        # What was posted runs without a pause before a call in the loop: it has to fit.
        self._max_posted = min(self._max_posted, max(1, outbox.max_frames // 4))
        self._max_posted_bytes = min(self._max_posted_bytes, outbox.max_bytes // 4)

    async def settle(self, concerns: Concerns = everyone) -> None:
        """Wait, in any loop, until more can be sent without evicting clients that read.

        Only clients whom it concerns are waited for: nobody pays for a room he is not in.
        """
        if asyncio.get_running_loop() is not self.loop:
            await self._settle_elsewhere(concerns)
            return
        if self._calls >= BURST_CALLS or self.enqueued - self._enqueued_before >= BURST_FRAMES:
            await self._pass_of_flush()
        while pressed := [each for each in self._pressed.items() if concerns(each[0])]:
            started = time.monotonic()
            patience = max(each.left(outbox, started) for outbox, each in pressed)
            if patience <= 0:
                return
            await self._relief(patience)
            now = time.monotonic()
            for _, each in pressed:
                each.charge(started, now)

    async def _settle_elsewhere(self, concerns: Concerns) -> None:
        if self._is_ahead():
            try:
                settled = asyncio.wrap_future(self._post_settling(concerns))
                await asyncio.wait_for(settled, POST_TIMEOUT)
            except asyncio.TimeoutError:
                raise LoopStalled(POST_TIMEOUT) from None

    def press(self, outbox: Outbox) -> None:
        if outbox not in self._pressed:
            patience = outbox.patience
            if not isinstance(patience, Patience):
                patience = outbox.patience = Patience(time.monotonic())
            patience.renew(outbox, time.monotonic())
            self._pressed[outbox] = patience

    def relieve(self, outbox: Outbox) -> None:
        self._pressed.pop(outbox, None)
        if self._relieved is not None and not self._relieved.done():
            self._relieved.set_result(None)

    def _run(self, running: asyncio.AbstractEventLoop | None, call: _Call) -> None:
        if running is self.loop or self.is_dead:
            if not self._is_running:  # Else they would nest, as deep as there are evictions.
                self._run_posted()  # These were called before this one.
            self._run_now(call)
        else:
            self._post(call)

    def _run_now(self, call: _Call) -> None:
        self._calls += 1
        was_running, self._is_running = self._is_running, True
        try:
            call.function(*call.args)
        finally:
            self._is_running = was_running
            if self.ready and not self._is_flush_due and not self.is_dead:
                self._is_flush_due = True
                self.loop.call_soon(self._flush)

    # Flushing

    def _flush(self) -> None:
        """Empty the ready outboxes, for at most `SLICE` seconds; the rest in the next turn."""
        self._is_flush_due = False
        ready, self.ready = self.ready, []
        deadline = time.monotonic() + SLICE
        for start in range(0, len(ready), FEW):
            if start and time.monotonic() > deadline:
                self.ready[:0] = ready[start:]
                break
            for outbox in ready[start : start + FEW]:
                outbox.flush()
        else:
            self._end_pass()
        if self.ready and not self._is_flush_due:
            self._is_flush_due = True
            self.loop.call_soon(self._flush)

    def _end_pass(self) -> None:
        self._calls = 0
        self._enqueued_before = self.enqueued
        if self._flush_passed is not None:
            self._flush_passed.set_result(None)
            self._flush_passed = None

    async def _pass_of_flush(self) -> None:
        """Wait until every outbox that is ready now was flushed once."""
        if not self._is_flush_due:
            self._end_pass()
            await asyncio.sleep(0)
            return
        if self._flush_passed is None:
            self._flush_passed = self.loop.create_future()
        await asyncio.shield(self._flush_passed)

    async def _relief(self, timeout: float) -> None:
        """Wait until some pressed outbox is no longer, at most `timeout` seconds."""
        if self._relieved is None or self._relieved.done():
            self._relieved = self.loop.create_future()
        await asyncio.wait([self._relieved], timeout=timeout)

    # Calls from elsewhere

    def _post(self, call: _Call) -> None:
        self._posted.append(call)
        with self._posted_lock:
            self._posted_bytes += call.size
        if not self._is_postman_called:
            self._is_postman_called = True
            try:
                self.loop.call_soon_threadsafe(self._call_postman)
            except RuntimeError:
                if not self.is_dead:
                    raise
                self._run_posted()  # The loop was closed just now.

    def _call_postman(self) -> None:
        """Run what was posted, for about `SLICE` seconds; the rest in the next turn.

        Without a pause for clients that are behind: the senders made theirs, each for the clients
        whom his frames concern.
        """
        self._is_postman_called = False  # Before looking at the calls, so that none is missed.
        deadline = time.monotonic() + SLICE
        while self._posted:
            self._run_oldest_posted()
            if time.monotonic() > deadline:
                self._is_postman_called = True
                self.loop.call_soon(self._call_postman)
                return

    def _run_posted(self) -> None:
        while self._posted:
            self._run_oldest_posted()

    def _run_oldest_posted(self) -> None:
        """Run a posted call. If it raises that is logged, as whoever posted it is gone."""
        call = self._posted.popleft()
        with self._posted_lock:
            self._posted_bytes -= call.size
        try:
            self._run_now(call)
        except Exception:
            logger.exception("A call from another thread or loop failed")

    def _is_ahead(self) -> bool:
        """Return whether a sender elsewhere should wait; a guess, as it is another thread's.

        Not for a loop that has stopped, maybe for good, with clients that were behind.
        """
        return self.loop.is_running() and (
            len(self._posted) >= self._max_posted
            or self._posted_bytes >= self._max_posted_bytes
            or bool(self._pressed)
        )

    def _post_settling(self, concerns: Concerns) -> Future[None]:
        """Return a future that is done when all that was posted has run, and the loop settled."""
        settled: Future[None] = Future()
        self._post(_Call(self._settle_for, (settled, concerns), 0))
        return settled

    def _settle_for(self, settled: Future[None], concerns: Concerns) -> None:
        if self.is_dead:
            settled.set_result(None)
            return
        task = self.loop.create_task(self.settle(concerns))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)
        task.add_done_callback(partial(_settle, settled))

    def _wait_in_thread(self, settled: Future[None]) -> None:
        try:
            settled.result(POST_TIMEOUT)
        except FutureTimeoutError:
            raise LoopStalled(POST_TIMEOUT) from None


def _settle(settled: Future[None], _: asyncio.Task[None]) -> None:
    if settled.set_running_or_notify_cancel():  # Else whoever waited has given up.
        settled.set_result(None)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
