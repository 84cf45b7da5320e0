"""Where outboxes are filled and emptied, and what is counted over all such places.

Every outbox belongs to one lane, and only calls that run in the lane touch it. So the inner loop of
a broadcast needs no lock, under threads and on free-threaded Python alike.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING

from arcly_channels.fanout.tally import Tally

if TYPE_CHECKING:
    from arcly_channels.fanout.outbox import Outbox


class Lane:
    """Runs the calls that touch a set of outboxes, one at a time.

    This one runs them in the calling thread behind a lock. It serves outboxes without an event
    loop; those of an event loop have a `Pump`.
    """

    is_dead = False
    """Whether nothing will ever run here again, so that its connections are gone."""

    is_stopped = False
    """Whether calls that bring frames have waited here for so long that nobody may count on it."""

    has_turns = False
    """Whether outboxes are emptied between calls, so that waiting for them makes sense."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.ready: list[Outbox] = []
        """The outboxes that a flush has to look at: newly filled or newly closed."""
        self.tally = Tally()
        """What is counted here."""
        self.small = sys.maxsize
        """The size up to which as many frames as an outbox holds are within its bytes, too."""

    def call(self, function: Callable[..., object], *args: object, size: int = 0) -> None:
        """Call `function` in the lane, now or soon; the calls of one thread keep their order.

        Never waits. `size` is how many bytes it brings to an outbox. Raises `LoopStalled` if it
        brings some and the lane has taken no call for so long that too many wait already.
        """
        with self._lock:
            function(*args)
            ready, self.ready = self.ready, []
            self.tally.writes += len(ready)
            for outbox in ready:
                outbox.flush()

    def call_at_once(self, outbox: Outbox, function: Callable[..., object], *args: object) -> bool:
        """Call `function`, which brings a frame to `outbox`, if it has not to wait for anything.

        Returns whether it was called: not for an outbox elsewhere, nor for a sender who is ahead.
        """
        self.call(function, *args)
        return True

    def call_later(self, seconds: float, function: Callable[..., object], *args: object) -> None:
        """Call `function` in the lane after that time, if the lane has turns."""

    def reserve(self, size: int) -> Future[None] | None:
        """Keep a place for a call from another thread or loop that brings `size` bytes.

        Returns None when it is kept, or else a future that is done when it is worth asking again.
        """
        return None

    def release(self, size: int) -> None:
        """Give back a place that was kept and is not used."""

    def is_here(self) -> bool:
        """Return whether a call by this thread runs at once."""
        return True

    def is_ahead(self) -> bool:
        """Return whether a sender that `is_here` should wait until the lane catches up."""
        return False

    def passing(self) -> Awaitable[None]:
        """Return what it waits for, in the loop of the lane."""
        raise NotImplementedError

    def admit(self, outbox: Outbox) -> None:
        """Take note of an outbox that will live here, and of its bounds."""
        self.small = min(self.small, outbox.max_bytes // outbox.max_frames)


class Lanes:
    """Counts the connections of each lane, and forgets a lane without losing its count.

    May be used from any thread; its lock is never held while another is taken.
    """

    def __init__(self) -> None:
        self._connections: dict[Lane, int] = {}
        self._before = Tally()
        """What was counted in lanes that are gone."""
        self._lock = threading.Lock()

    def enter(self, lane: Lane) -> None:
        """Note a connection in `lane`."""
        with self._lock:
            self._drop_dead()
            self._connections[lane] = self._connections.get(lane, 0) + 1

    def leave(self, lane: Lane) -> None:
        """Note the end of a connection in `lane`, and forget the lane after its last one."""
        with self._lock:
            self._connections[lane] -= 1
            is_unused = not self._connections[lane]
        if is_unused:
            # In the lane, after all that may still be counted there.
            lane.call(self._forget, lane)

    def all(self) -> tuple[Lane, ...]:
        """Return the lanes that have connections."""
        with self._lock:
            return tuple(lane for lane, number in self._connections.items() if number)

    def has(self, lane: Lane) -> bool:
        """Return whether `lane` has connections."""
        return bool(self._connections.get(lane))

    def tally(self) -> Tally:
        """Return what was counted in all lanes together, also in those that are gone."""
        total = Tally()
        with self._lock:
            for tally in (self._before, *(lane.tally for lane in self._connections)):
                total.absorb(tally)
        return total

    def _forget(self, lane: Lane) -> None:
        with self._lock:
            if self._connections.get(lane) == 0:
                self._drop(lane)

    def _drop_dead(self) -> None:
        """Forget unused lanes that have ended before they could, or their loops would be kept."""
        rows = self._connections.items()
        for lane in [lane for lane, number in rows if not number and lane.is_dead]:
            self._drop(lane)

    def _drop(self, lane: Lane) -> None:
        del self._connections[lane]
        self._before.absorb(lane.tally)
        lane.tally.clear()


def finish(future: Future[None]) -> None:
    """Tell whoever waits for `future`, unless they have given up. Once for each future."""
    if future.set_running_or_notify_cancel():
        future.set_result(None)
