"""The bounded FIFO of one connection, and the lane in which it is filled and emptied.

Every outbox belongs to one lane, and only calls that run in the lane touch it. So the inner loop of
a broadcast needs no lock, under threads and on free-threaded Python alike.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Protocol

from arcly_channels.close_codes import CloseCode, shortened
from arcly_channels.wire.envelope import Frame

logger = logging.getLogger(__name__)

MAX_FRAMES = 256
"""The seed's `ws_outbound_buffer`."""

MAX_BYTES = 1024 * 1024

CUT = 1006
"""The close code of a socket that is gone without one (RFC 6455, section 7.1.5)."""

_wire = attrgetter("wire")

_SHUT = 1 << 62
"""Taken from a closed outbox's room, so that nothing fits and `offer` needs no extra check."""


class Transport(Protocol):
    """What empties an outbox; `transports.base` holds the whole contract."""

    def flush(self, outbox: Outbox) -> None: ...


Concerns = Callable[["Outbox"], bool]
"""Tells whether a frame is for an outbox, among others."""


def everyone(_: Outbox) -> bool:
    """Be true of every outbox."""
    return True


class Lane:
    """Runs the calls that touch a set of outboxes, one at a time.

    This one runs them in the calling thread behind a lock. It serves outboxes without an event
    loop; those of an event loop have a `Pump`.
    """

    is_dead = False
    """Whether nothing will ever run here again, so that its connections are gone."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.ready: list[Outbox] = []
        """The outboxes that a flush has to look at: newly filled or newly closed."""
        self.enqueued = 0
        """How many frames were put into this lane's outboxes."""

    def run(
        self,
        function: Callable[..., object],
        *args: object,
        size: int = 0,
        concerns: Concerns = everyone,
    ) -> None:
        """Call `function` in the lane, now or soon; the calls of one thread keep their order.

        `size` is how many bytes it brings to an outbox, and `concerns` tells which it brings them
        to: a thread may be made to wait as in `settle`.
        """
        with self._lock:
            function(*args)
            ready, self.ready = self.ready, []
            for outbox in ready:
                outbox.flush()

    def admit(self, outbox: Outbox) -> None:
        """Take note of an outbox that will live here, and of its bounds."""

    def run_unpaced(self, function: Callable[..., object], *args: object) -> None:
        """Do what `run` does, but never make a thread wait or fail: for what brings no frames."""
        self.run(function, *args)

    async def settle(self, concerns: Concerns = everyone) -> None:
        """Wait, from any event loop, until more may be sent to those whom it concerns."""

    def press(self, outbox: Outbox) -> None:
        """Note that `outbox` is above its high-water mark."""

    def relieve(self, outbox: Outbox) -> None:
        """Note that a pressed outbox is below its low-water mark again, or closed."""


class Outbox:
    """The frames that wait for one connection: at most `max_frames` and `max_bytes` of them.

    A single frame larger than `max_bytes` is taken when nothing waits before it. Above half of
    either bound the outbox is pressed, and relieved again at a quarter. Apart from
    `pending_frames`, `pending_bytes` and `close_code`, which any thread may read, everything here
    is to be used inside `lane`.
    """

    __slots__ = (
        "close_code",
        "close_reason",
        "connection_id",
        "frames",
        "high_frames",
        "is_pressed",
        "lane",
        "max_bytes",
        "max_frames",
        "patience",
        "room",
        "taken",
        "transport",
    )

    def __init__(
        self,
        lane: Lane | None = None,
        transport: Transport | None = None,
        *,
        max_frames: int = MAX_FRAMES,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        if max_frames < 1 or max_bytes < 1:
            raise ValueError(f"an outbox holds at least 1, not {max_frames=} and {max_bytes=}")
        self.lane = lane or Lane()
        self.transport = transport
        self.max_frames = max_frames
        self.max_bytes = max_bytes
        self.high_frames = (max_frames + 1) // 2
        self.frames: list[Frame] = []  # An empty deque is ten times as large, and most are empty.
        self.room = max_bytes // 2
        """How many bytes may still be added below the high-water mark; negative above it."""
        self.is_pressed = False
        self.patience: object = None
        """The lane's own note on how long it makes senders wait for this outbox."""
        self.taken = 0
        """How many frames were taken so far: the sign that the peer is reading."""
        self.connection_id = 0
        self.close_code: int | None = None
        """Set once the outbox takes no more frames: the code to close with after the backlog."""
        self.close_reason = ""
        self.lane.admit(self)

    @property
    def pending_frames(self) -> int:
        """How many frames wait."""
        return len(self.frames)

    @property
    def pending_bytes(self) -> int:
        """How many bytes of payload wait."""
        return (self.max_bytes // 2 - self.room) % _SHUT

    def put(self, frame: Frame) -> bool:
        """Append `frame`; return False, and leave the outbox as it is, when there is no room."""
        if self.close_code is not None:
            return False
        if not self.frames:
            self.lane.ready.append(self)
        elif (
            len(self.frames) >= self.max_frames or self.pending_bytes + frame.size > self.max_bytes
        ):
            return False
        self.room -= frame.size
        self.frames.append(frame)
        if self.room < 0 or len(self.frames) > self.high_frames:
            self.is_pressed = True  # Until the low-water mark, where the lane is told.
        return True

    def take(self) -> Frame | None:
        """Remove and return the oldest frame, or return None when nothing waits."""
        if not self.frames:
            return None
        frame = self.frames.pop(0)
        self.room += frame.size
        self.taken += 1
        if self.is_pressed and self._is_below_low_water():
            self.is_pressed = False
            self.lane.relieve(self)
        return frame

    def take_wire(self, limit: int) -> bytes:
        """Remove frames of about `limit` bytes, at least one; return them as they go on the wire.

        Returns nothing when nothing waits.
        """
        frames = self.frames
        if len(frames) == 1 and not self.is_pressed:  # The common case: `benchmarks/fanout.py`.
            frame = frames.pop()
            self.room += frame.size
            self.taken += 1
            return frame.wire
        if self.pending_bytes <= limit:  # In a burst: `benchmarks/bursts.py`.
            wire = b"".join(map(_wire, frames))
            self._take_all()
            return wire
        taken: list[bytes] = []
        size = 0
        while size < limit and (next_frame := self.take()) is not None:
            taken.append(next_frame.wire)
            size += next_frame.size
        return b"".join(taken)

    def close(self, code: int, reason: str = "") -> None:
        """Take no more frames; have the transport close with `code` once the backlog is out.

        Only the first close counts. A `reason` is for the peer, and `shortened`.
        """
        if self.close_code is None:
            self.close_code = int(code)  # Autobahn, which Daphne is built on, takes no subclass.
            self.close_reason = shortened(reason)
            self.room -= _SHUT
            self.is_pressed = False
            self.lane.relieve(self)
            self.lane.ready.append(self)

    def discard(self) -> None:
        """Drop the backlog."""
        self._take_all()

    def cut(self) -> None:
        """Drop everything, the transport too: the socket is gone."""
        self.transport = None
        self.close(CUT)
        self.discard()

    def flush(self) -> None:
        """Hand what waits to the transport, which takes what the peer can take now.

        A transport that raises loses its own connection (1011) and disturbs no other.
        """
        if self.transport is None:
            return
        try:
            self.transport.flush(self)
        except Exception:
            logger.exception("A transport failed; its connection is closed")
            self.discard()
            self.close(CloseCode.INTERNAL_ERROR)

    def _take_all(self) -> None:
        self.room += self.pending_bytes
        self.taken += len(self.frames)
        self.frames.clear()
        if self.is_pressed:
            self.is_pressed = False
            self.lane.relieve(self)

    def _is_below_low_water(self) -> bool:
        return self.pending_bytes <= self.max_bytes // 4 and 4 * len(self.frames) <= self.max_frames


def offer(frame: Frame, outboxes: Iterable[Outbox], ready: list[Outbox]) -> list[Outbox]:
    """Append `frame` to each of `outboxes`; return those it would bring above high water.

    They did not get it: `Outbox.put` decides about them. The one loop that runs per recipient of a
    broadcast, and so without a call, a lock or a counter in it: `benchmarks/offer.py`.
    """
    others = []
    size = frame.size
    for outbox in outboxes:
        room = outbox.room - size
        frames = outbox.frames
        if room < 0:
            others.append(outbox)
            continue
        if not frames:
            ready.append(outbox)
        elif len(frames) >= outbox.high_frames:
            others.append(outbox)
            continue
        outbox.room = room
        frames.append(frame)
    return others
