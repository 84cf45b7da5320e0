"""What the transports share that write straight to a server's connection."""

from __future__ import annotations

import asyncio

from arcly_channels.fanout.outbox import Outbox
from arcly_channels.transports.base import CLOSE_TIMEOUT, Peer
from arcly_channels.transports.sockets import HasNumber, unread

CHUNK = 64 * 1024
"""Bytes that are written before asking again whether the connection is full."""


class StreamTransport:
    """Joins what waits into one write per flush, and closes in time.

    A subclass gives the three methods at the end, and calls `pause` when the connection is full and
    `resume` when it can take more. `bottom` is the TCP socket, from below TLS too.
    """

    __slots__ = (
        "_blocked",
        "_bottom",
        "_is_closing",
        "_is_full",
        "_is_stopped",
        "_loop",
        "_peer",
        "_timer",
    )

    def __init__(self, peer: Peer, bottom: HasNumber | None) -> None:
        self._peer = peer
        self._bottom = bottom
        self._loop = asyncio.get_running_loop()
        self._is_full = False
        self._is_closing = False
        self._is_stopped = False
        self._timer: asyncio.TimerHandle | None = None
        self._blocked: Outbox | None = None

    def flush(self, outbox: Outbox) -> None:
        if self._is_full or outbox.close_code is not None:
            self._flush_closing_or_full(outbox)
            return
        self._write(outbox.take_wire(CHUNK))
        if outbox.frames:
            self._write_out(outbox)

    @property
    def is_blocked(self) -> bool:
        return self._is_full and not self._is_stopped

    def unread(self) -> int | None:
        return unread(self._bottom)

    def received(self) -> None:
        pass

    async def stop(self) -> None:
        self._is_full = self._is_stopped = True
        self._blocked = None
        if self._timer is not None and not self._is_closing:  # It had its grace.
            self._timer.cancel()
            self._abort()

    def pause(self) -> None:
        """Leave frames in the outbox from now on."""
        self._is_full = True

    def resume(self) -> None:
        """Go on with what was left in the outbox."""
        self._is_full = False
        outbox, self._blocked = self._blocked, None
        if outbox is not None:
            self.flush(outbox)

    def _write_out(self, outbox: Outbox) -> None:
        """Write until nothing is left or the connection is full."""
        while not self._is_full and (data := outbox.take_wire(CHUNK)):
            self._write(data)
        if outbox.frames:
            self._blocked = outbox

    def _flush_closing_or_full(self, outbox: Outbox) -> None:
        if self._is_stopped or self._is_closing:
            outbox.discard()
            return
        self._write_out(outbox)
        if outbox.close_code is None:
            return
        if not outbox.frames:
            self._close(outbox)
        elif self._timer is None:
            self._timer = self._loop.call_later(self._peer.grace, self._close, outbox)

    def _close(self, outbox: Outbox) -> None:
        """Send the close frame behind what was written, and abort if that does not help."""
        outbox.discard()
        self._is_closing = True
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(CLOSE_TIMEOUT, self._give_up)
        self._send_close(outbox.close_code or 1000, outbox.close_reason)

    def _give_up(self) -> None:
        self._abort()
        self._peer.abandon()

    def _write(self, data: bytes) -> None:
        raise NotImplementedError

    def _send_close(self, code: int, reason: str) -> None:
        raise NotImplementedError

    def _abort(self) -> None:
        raise NotImplementedError
