"""The bounded FIFO of one connection, which is filled and emptied in its lane."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from itertools import accumulate, islice
from operator import attrgetter
from typing import Protocol

from arcly_channels.close_codes import CloseCode, shortened
from arcly_channels.fanout.lanes import Lane
from arcly_channels.logs import noted
from arcly_channels.wire.envelope import Frame

logger = logging.getLogger(__name__)

MAX_FRAMES = 256

MAX_BYTES = 1024 * 1024

LONG = 256
"""How many frames are a long backlog, of which each costs the same to take."""

CUT = 1006
"""The close code of a socket that is gone without one (RFC 6455, section 7.1.5)."""

_wire = attrgetter("wire")
_size = attrgetter("size")


class Dialect(Protocol):
    """What a client understands that takes tagged frames."""

    ping: Frame
    """Asks for a sign of life."""

    def bye(self, code: int, reason: str) -> Frame:
        """Make the last frame of a connection that is closed."""


class Outlet(Protocol):
    """What empties an outbox: the part of `transports.base.Transport` that is used here."""

    def flush(self, outbox: Outbox) -> None: ...

    def ask(self, outbox: Outbox) -> bool: ...

    def held_up(self) -> float: ...

    def unread(self) -> int | None: ...

    def acknowledged(self) -> int | None: ...

    def silence(self) -> float: ...


class Watch(Protocol):
    """Who waits for an outbox to have room; `pacing` holds the one there is."""

    def relieved(self, outbox: Outbox) -> None: ...


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
        "counted",
        "counted_bytes",
        "dialect",
        "frames",
        "is_pressed",
        "lane",
        "max_bytes",
        "max_frames",
        "quota",
        "taken",
        "transport",
        "watch",
    )

    def __init__(
        self,
        lane: Lane | None = None,
        transport: Outlet | None = None,
        *,
        max_frames: int = MAX_FRAMES,
        max_bytes: int = MAX_BYTES,
        dialect: Dialect | None = None,
    ) -> None:
        if max_frames < 1 or max_bytes < 1:
            raise ValueError(f"an outbox holds at least 1, not {max_frames=} and {max_bytes=}")
        self.lane = lane or Lane()
        self.transport = transport
        self.max_frames = max_frames
        self.max_bytes = max_bytes
        self.dialect = dialect
        """What the client understands beside the bare frames, if anything."""
        # An empty deque is ten times as large, and most are empty: only a long backlog is one.
        self.frames: list[Frame] | deque[Frame] = []
        self.counted = self.counted_bytes = 0
        """How many of the oldest frames `_count` has counted, and their bytes."""
        self.quota = self._high_frames
        """Below how many frames `offer` may append a small one without asking any further.

        Zero when there is more to ask: the outbox is closed, or holds a frame that is not small.
        """
        self.is_pressed = False
        self.watch: Watch | None = None
        """Who is to be told when the outbox is relieved."""
        self.taken = 0
        """How many frames were taken so far: a sign that the peer is reading."""
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
        """How many bytes of payload wait. The cost grows with the number of frames."""
        # Any thread may ask: a copy is one step, on free-threaded Python too.
        return sum(map(_size, self.frames.copy()))

    def put(self, frame: Frame) -> bool:
        """Append `frame`; return False, and leave the outbox as it is, when there is no room."""
        if self.close_code is not None:
            return False
        number, size = len(self.frames), self._count() + frame.size
        if number == 0:
            self.lane.ready.append(self)
        elif number >= self.max_frames or size > self.max_bytes:
            return False
        if frame.size > self.lane.small:
            self.quota = 0
        self.frames.append(frame)
        if number >= self._high_frames or size > self.max_bytes // 2:
            self.is_pressed = True  # Until the low-water mark, where the watch is told.
        return True

    def take(self) -> Frame | None:
        """Remove and return the oldest frame, or return None when nothing waits."""
        if not self.frames:
            return None
        return self._spoken(self._take_all() if len(self.frames) == 1 else self._take_first(1))[0]

    def take_batch(self, limit: int) -> list[Frame]:
        """Remove and return the oldest frames: about `limit` bytes of them, and at least one."""
        frames, number = self.frames, 1
        for total in accumulate(map(_size, frames)):
            if total >= limit:
                break
            number += 1
        if number >= len(frames):
            return self._spoken(self._take_all())
        # At once: one by one is quadratic in a long backlog.
        return self._spoken(self._take_first(number))

    def take_wire(self, limit: int) -> bytes:
        """Remove frames of about `limit` bytes, at least one; return them as they go on the wire.

        Returns nothing when nothing waits.
        """
        frames = self.frames
        # The common case: `benchmarks/fanout.py`.
        if len(frames) == 1 and not self.is_pressed and not self.counted:
            self.taken += 1
            if self.quota == 0 and self.close_code is None:
                self.quota = self._high_frames
            frame = frames.pop()
            return frame.wire if self.dialect is None else frame.tagged.wire
        return b"".join(map(_wire, self.take_batch(limit)))

    def close(self, code: int, reason: str = "") -> None:
        """Take no more frames; have the transport close with `code` once the backlog is out.

        Only the first close counts. A `reason` is for the peer, and `shortened` in the close frame.
        A bye follows the backlog, whatever the bounds are, where the client understands it.
        """
        if self.close_code is None:
            self.close_code = int(code)  # Autobahn, which Daphne is built on, takes no subclass.
            self.close_reason = shortened(reason)
            if self.dialect is not None and code != CUT:
                self.frames.append(self.dialect.bye(code, reason))
            self.quota = 0
            self._relieve()
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
        except Exception:  # noqa: BLE001  # It is logged.
            self._fail()

    def ask(self) -> bool:
        """Ask the client for a sign of life; return whether its silence says anything."""
        if self.transport is None or self.close_code is not None:
            return False
        try:
            return self.transport.ask(self)
        except Exception:  # noqa: BLE001  # It is logged.
            self._fail()
            return False

    def unread(self) -> int | None:
        """Return how many bytes were written that the peer has not acknowledged, if that shows."""
        return None if self.transport is None else self.transport.unread()

    def acknowledged(self) -> int | None:
        """Return how many bytes the peer has acknowledged in all, if that shows."""
        return None if self.transport is None else self.transport.acknowledged()

    def held_up(self) -> float:
        """Return for how many seconds in all the peer has kept the transport from writing."""
        return 0.0 if self.transport is None else self.transport.held_up()

    def _fail(self) -> None:
        """Give up a connection whose transport has raised."""
        extra = noted(self.connection_id, code=CloseCode.INTERNAL_ERROR)
        logger.exception("A transport failed; its connection is closed", extra=extra)
        self.discard()
        self.close(CloseCode.INTERNAL_ERROR)

    def _spoken(self, frames: list[Frame]) -> list[Frame]:
        """Return frames in the form that the client understands."""
        return frames if self.dialect is None else [frame.tagged for frame in frames]

    @property
    def _high_frames(self) -> int:
        return (self.max_frames + 1) // 2

    def _take_first(self, number: int) -> list[Frame]:
        frames = self.frames
        if len(frames) > LONG and not isinstance(frames, deque):
            frames = self.frames = deque(frames)
        if isinstance(frames, deque):
            batch = [frames.popleft() for _ in range(number)]
        else:
            batch = frames[:number]
            del frames[:number]  # This costs the length of what is left, which is not long.
        self.taken += number
        self._uncount(batch)
        if self.is_pressed and self._is_below_low_water():
            self._relieve()
        return batch

    def _take_all(self) -> list[Frame]:
        frames, self.frames = list(self.frames), []
        self.counted = self.counted_bytes = 0
        self.taken += len(frames)
        if self.close_code is None:
            self.quota = self._high_frames
        if self.is_pressed:
            self._relieve()
        return frames

    def _relieve(self) -> None:
        self.is_pressed = False
        if self.watch is not None:
            self.watch.relieved(self)

    def _is_below_low_water(self) -> bool:
        return 4 * len(self.frames) <= self.max_frames and 4 * self._count() <= self.max_bytes

    def _count(self) -> int:
        """Return how many bytes wait. Each frame is counted once: `offer` has no time for it."""
        new = len(self.frames) - self.counted
        self.counted_bytes += sum(map(_size, islice(reversed(self.frames), new)))
        self.counted += new
        return self.counted_bytes

    def _uncount(self, batch: list[Frame]) -> None:
        """Forget frames that were the oldest, and were counted unless they are too new."""
        counted = min(self.counted, len(batch))
        self.counted -= counted
        self.counted_bytes -= sum(map(_size, islice(batch, counted)))


def offer(frame: Frame, outboxes: Iterable[Outbox], ready: list[Outbox]) -> list[Outbox]:
    """Append a small frame to each of `outboxes`; return those that have to be asked first.

    Those did not get it: `Outbox.put` decides about them. The one loop that runs per recipient of a
    broadcast, and so without a call, a lock or a counter in it: `benchmarks/offer.py`.
    """
    others = []
    for outbox in outboxes:
        frames = outbox.frames
        if len(frames) >= outbox.quota:
            others.append(outbox)
            continue
        if not frames:
            ready.append(outbox)
        frames.append(frame)
    return others
