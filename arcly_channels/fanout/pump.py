"""The lane of an event loop: outboxes fill during a turn of the loop and are emptied after it.

Calls of other threads and loops are posted to it, and run in the loop in their order. Nothing here
waits: who has to wait, and for what, is said by futures, and `pacing` waits for them.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from asyncio import _get_running_loop
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import NamedTuple

from arcly_channels.exceptions import LoopStalled
from arcly_channels.fanout.lanes import Lane, finish
from arcly_channels.fanout.outbox import MAX_BYTES, Outbox

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

JOINED_CALLS = 5
"""How many calls it may make in any case: a write that takes five frames to a client costs little
more than one that takes a single frame, which counts where there are thousands of clients:
`benchmarks/crowd.py`.
"""

BURST_CLIENTS = 256
"""How many clients may each be sent a first frame before that: to empty their outboxes takes about
a `SLICE`. A hundred that ask in one turn of the loop are answered in it: `benchmarks/echo.py`.
"""

MAX_POSTED = 64
MAX_POSTED_BYTES = MAX_BYTES // 4
"""How many calls from elsewhere, or bytes in them, may wait before their senders are made to."""

PATIENT = 16
"""How many times as much may wait of senders that cannot be made to, before they are refused."""


class _Call(NamedTuple):
    function: Callable[..., object]
    args: tuple[object, ...]
    size: int


class Pump(Lane):
    """The lane of one event loop, whose thread alone touches the outboxes."""

    has_turns = True

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.loop = loop
        self._is_running = False
        self._is_flush_due = False
        self._flushing: list[Outbox] = []
        """What is left of the pass of flushes that is under way."""
        self._passing: list[asyncio.Future[None]] = []
        """Who waits for the end of the pass."""
        self._calls = 0
        self._frames_before = 0
        self._max_posted = MAX_POSTED
        self._max_posted_bytes = MAX_POSTED_BYTES
        self._posted: deque[_Call] = deque()
        self._posted_bytes = 0
        self._reserved = 0
        self._reserved_bytes = 0
        self._crowd: deque[Future[None]] = deque()
        """Who asked for a place and found none."""
        self._posted_lock = threading.Lock()  # Guards the bytes, the places and the crowd.
        self._is_postman_called = False

    @property
    def is_dead(self) -> bool:  # type: ignore[override]  # A constant of the base, a fact here.
        return self.loop.is_closed()

    @property
    def is_stopped(self) -> bool:  # type: ignore[override]
        """Whether the loop does not run, maybe for good, and far too many calls wait for it."""
        return not self.loop.is_running() and self._is_crowded(PATIENT)

    # Running

    def call(self, function: Callable[..., object], *args: object, size: int = 0) -> None:
        """Call `function` at once in the loop's own thread, else post it to the loop.

        Raises `LoopStalled`, and posts nothing, when far too many bytes or calls that bring some
        wait already.
        """
        if _get_running_loop() is self.loop:
            self._run_in_turn(function, args)
        elif self.is_dead:
            with self._lock:  # Any thread may come here now.
                self._run_posted()
                self._run(function, args)
        else:
            self._post(_Call(function, args, size))

    def call_at_once(self, outbox: Outbox, function: Callable[..., object], *args: object) -> bool:
        if _get_running_loop() is not self.loop or self._is_ahead_of(outbox):
            return False
        self._run_in_turn(function, args)
        return True

    def call_later(self, seconds: float, function: Callable[..., object], *args: object) -> None:
        """Call `function` in the loop after that time; never, if the loop is closed."""
        self.call(self._start_timer, seconds, function, args)

    def is_here(self) -> bool:
        return _get_running_loop() is self.loop or self.is_dead

    def admit(self, outbox: Outbox) -> None:
        super().admit(outbox)
        # What was posted runs without a pause before a call in the loop: it has to fit.
        self._max_posted = min(self._max_posted, max(1, outbox.max_frames // 4))
        self._max_posted_bytes = min(self._max_posted_bytes, outbox.max_bytes // 4)

    def is_ahead(self) -> bool:
        is_many = self.tally.frames - self._frames_before >= BURST_FRAMES
        is_ahead = self._calls >= (JOINED_CALLS if is_many else BURST_CALLS)
        return is_ahead and not self.is_dead  # No flush comes after the end of a loop.

    def _is_ahead_of(self, outbox: Outbox) -> bool:
        """Return whether a sender to `outbox` alone should wait.

        Who has nothing waiting is sent no burst, whatever the others were sent.
        """
        is_first = not outbox.frames and len(self.ready) < BURST_CLIENTS
        return not is_first and self.is_ahead()

    def passing(self) -> asyncio.Future[None]:
        """Return a future that is done when every outbox that is ready now was flushed once."""
        passing = self.loop.create_future()
        self._passing.append(passing)
        self._schedule_flush()
        return passing

    def _run_in_turn(self, function: Callable[..., object], args: tuple[object, ...]) -> None:
        if self._posted and not self._is_running:  # Else they nest, as deep as there are evictions.
            self._run_posted()  # These were called before this one.
        self._run(function, args)

    def _run(self, function: Callable[..., object], args: tuple[object, ...]) -> None:
        self._calls += 1
        was_running, self._is_running = self._is_running, True
        try:
            function(*args)
        finally:
            self._is_running = was_running
            if self.ready and not self._is_flush_due:
                self._schedule_flush()

    def _start_timer(
        self, seconds: float, function: Callable[..., object], args: tuple[object, ...]
    ) -> None:
        if not self.is_dead:
            self.loop.call_later(seconds, self._run, function, args)

    # Flushing

    def _schedule_flush(self) -> None:
        if not self._is_flush_due and not self.is_dead:
            self._is_flush_due = True
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Empty the ready outboxes, for at most `SLICE` seconds; the rest in the next turn.

        A pass is over when all that was ready at its start was flushed, whatever has become ready
        meanwhile: otherwise who waits for it could wait for ever while others go on sending.
        """
        self._is_flush_due = False
        if not self._flushing:
            self._flushing, self.ready = self.ready, []
            self.tally.writes += len(self._flushing)
        deadline = time.monotonic() + SLICE
        flushing, done = self._flushing, 0
        while done < len(flushing):
            for outbox in flushing[done : done + FEW]:
                outbox.flush()
            done += FEW
            if time.monotonic() > deadline:
                break
        self._flushing = flushing[done:]
        if not self._flushing:
            self._end_pass()
        if self._flushing or self.ready:
            self._schedule_flush()

    def _end_pass(self) -> None:
        self._calls = 0
        self._frames_before = self.tally.frames
        passing, self._passing = self._passing, []
        for future in passing:
            if not future.done():  # Its sender may have been cancelled.
                future.set_result(None)

    # Calls from elsewhere

    def reserve(self, size: int) -> Future[None] | None:
        with self._posted_lock:
            while self._crowd and self._crowd[0].cancelled():
                self._crowd.popleft()  # Its sender waits no more.
            # A loop that does not run is not waited for: it may have stopped for good.
            if not self._is_crowded() or not self.loop.is_running():
                self._reserved += 1
                self._reserved_bytes += size
                return None
            crowded: Future[None] = Future()
            self._crowd.append(crowded)
        self._call_postman()  # Who finds room again tells the crowd.
        return crowded

    def release(self, size: int) -> None:
        with self._posted_lock:
            self._unreserve(size)
            has_crowd = bool(self._crowd)
        if has_crowd:
            self._call_postman()

    def _unreserve(self, size: int) -> None:
        # A sender that could not wait may have used the place of another, with a frame of its size.
        self._reserved = max(0, self._reserved - 1)
        self._reserved_bytes = max(0, self._reserved_bytes - size) if self._reserved else 0

    def _is_crowded(self, times: int = 1) -> bool:
        return (
            len(self._posted) + self._reserved >= times * self._max_posted
            or self._posted_bytes + self._reserved_bytes >= times * self._max_posted_bytes
        )

    def _post(self, call: _Call) -> None:
        with self._posted_lock:
            if self._reserved and call.size:
                self._unreserve(call.size)
            elif call.size and self._is_crowded(PATIENT):
                raise LoopStalled(0)
            self._posted.append(call)
            self._posted_bytes += call.size
        self._call_postman()

    def _call_postman(self) -> None:
        if self._is_postman_called:
            return
        self._is_postman_called = True
        try:
            self.loop.call_soon_threadsafe(self._deliver_post)
        except RuntimeError:
            if not self.is_dead:
                raise
            with self._lock:  # The loop was closed just now, and any thread may come here.
                self._run_posted()

    def _deliver_post(self) -> None:
        """Run what was posted, for about `SLICE` seconds; the rest in the next turn."""
        self._is_postman_called = False  # Before looking at the calls, so that none is missed.
        deadline = time.monotonic() + SLICE
        while self._posted and time.monotonic() < deadline:
            self._run_oldest_posted()
        if self._posted:
            self._is_postman_called = True
            self.loop.call_soon(self._deliver_post)
        self._tell_crowd()

    def _run_posted(self) -> None:
        while self._posted:
            self._run_oldest_posted()
        if self._crowd:
            self._tell_crowd()

    def _run_oldest_posted(self) -> None:
        """Run a posted call. If it raises that is logged, as whoever posted it is gone."""
        with self._posted_lock:
            if not self._posted:
                return  # Another thread was quicker, after the loop has died.
            call = self._posted.popleft()
            self._posted_bytes -= call.size
        try:
            self._run(call.function, call.args)
        except Exception:
            logger.exception("A call from another thread or loop failed")

    def _tell_crowd(self) -> None:
        """Have those who found no place ask again, when there is some."""
        with self._posted_lock:
            if self._is_crowded():
                return
            crowd, self._crowd = self._crowd, deque()
        for crowded in crowd:
            finish(crowded)
