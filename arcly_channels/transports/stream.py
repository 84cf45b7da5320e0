"""What the transports share that write straight to a server's connection."""

from __future__ import annotations

import asyncio
from typing import Any

from arcly_channels.close_codes import CloseCode
from arcly_channels.fanout.outbox import CUT, Outbox
from arcly_channels.transports.base import CLOSE_TIMEOUT, Ending, Peer, ask_by_event
from arcly_channels.transports.hold import hold_server
from arcly_channels.transports.sockets import HasNumber, acknowledged, is_left, silence, unread

CHUNK = 64 * 1024
"""Bytes that are written before asking again whether the connection is full."""

CHUNKS = 16
"""How many of those are written to a peer that takes them before others get a turn."""

MANY = 64
"""Fragments of one inbound message that may lie about, in objects of 60 bytes and more each."""


def join_fragments(fragments: list[Any]) -> None:
    """Make one of what came of a message, if it is many: no server bounds how many are empty."""
    if len(fragments) > MANY:
        whole = fragments[0] if isinstance(fragments[0], bytearray) else bytearray(fragments[0])
        whole += b"".join(fragments[1:])
        fragments[:] = [whole]


def drop_messages(queue: asyncio.Queue[Any]) -> None:
    """Take what a client has sent out of a server's queue; all else stays, in its order."""
    for _ in range(queue.qsize()):
        message = queue.get_nowait()
        if message["type"] != "websocket.receive":
            queue.put_nowait(message)


class StreamTransport:
    """Joins what waits into one write per flush, and closes in time.

    A subclass gives the methods at the end, and calls `pause` when the connection is full and
    `resume` when it can take more. `bottom` is the TCP socket, from below TLS too.

    While the connection is full, no more is read from the client than came already: what it causes
    by sending, as pongs, would fill a buffer that it does not empty. A client that does read is
    heard all the same, however much there is to send: once each time that the buffer was empty.
    """

    hears_pongs = False

    _taken = staticmethod(Outbox.take_wire)
    """Takes about so many bytes out of an outbox, as they go on the wire."""

    __slots__ = (
        "_blocked",
        "_bottom",
        "_full_since",
        "_held_up",
        "_is_closing",
        "_is_full",
        "_is_ignored",
        "_is_stopped",
        "_loop",
        "_peer",
        "_ping",
        "_timer",
        "_watch",
        "_written",
    )

    def __init__(self, peer: Peer, bottom: HasNumber | None) -> None:
        self._peer = peer
        self._bottom = bottom
        self._loop = asyncio.get_running_loop()
        self._is_full = False
        self._full_since = self._held_up = 0.0
        self._is_closing = self._is_ignored = False
        self._is_stopped = False
        self._timer: asyncio.TimerHandle | None = None
        self._blocked: Outbox | None = None
        self._ping: tuple[Any, ...] | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._written: asyncio.Future[None] | None = None

    def flush(self, outbox: Outbox) -> None:
        is_special = self._is_full or self._is_stopped or outbox.close_code is not None
        if is_special or not self._is_open():
            self._flush_closing_or_full(outbox)
            return
        self._write(self._taken(outbox, CHUNK))  # Counted by the lane, as one write.
        if outbox.frames:
            self._write_out(outbox)

    def held_up(self) -> float:
        return self._held_up + (self._loop.time() - self._full_since if self._is_full else 0)

    def unread(self) -> int | None:
        return unread(self._bottom)

    def acknowledged(self) -> int | None:
        return acknowledged(self._bottom)

    def silence(self) -> float:
        return silence(self._bottom)

    def has_left(self) -> bool:
        return is_left(self._bottom)

    def ask(self, outbox: Outbox) -> bool:
        return ask_by_event(outbox, self._peer.endpoint)

    def received(self) -> None:
        pass

    def ignore(self) -> None:
        self._is_ignored = True
        self._pause_reading()

    def hold_server(self, drain: Ending) -> None:
        hold_server(drain, self._peer.send)

    @property
    def is_over(self) -> bool:
        return self._is_stopped and self._is_closed()

    def abort(self) -> None:
        self._abort()

    async def stop(self) -> None:
        try:
            await self._wait_for_backlog()
        finally:
            self._is_stopped = True
            self._blocked = None
            if self._watch is not None:
                self._watch.cancel()
            if self._timer is not None and not self._is_closing:  # It had its grace.
                self._timer.cancel()
                self._abort()
            elif self._timer is None and self.unread():
                # The server closes the socket once all is sent, and may wait for that for ever.
                self._timer = self._loop.call_later(CLOSE_TIMEOUT, self._abort_late)

    def pause(self) -> None:
        """Leave frames in the outbox from now on."""
        if not self._is_full:
            self._is_full, self._full_since = True, self._loop.time()

    def resume(self) -> None:
        """Go on with what was left in the outbox."""
        self._held_up, self._is_full = self.held_up(), False
        if not self._is_ignored:
            self._resume_reading()
        if self._ping is not None:
            ping, self._ping = self._ping, None
            self._answer(*ping)
        outbox, self._blocked = self._blocked, None
        if outbox is not None:
            outbox.lane.call(outbox.flush)  # Not `self.flush`: nothing is raised at the server.

    def _on_ping(self, *ping: Any) -> None:
        """Answer a ping; while the connection is full only the newest, and later."""
        self._peer.endpoint.bothered()
        if self._is_full:
            self._ping = ping
            self._pause_reading()
        else:
            self._answer(*ping)

    async def _wait_for_backlog(self) -> None:
        if self._timer is not None and not self._is_closing and self._is_open():
            self._written = self._loop.create_future()
            await asyncio.wait([self._written], timeout=CLOSE_TIMEOUT)

    def _write_out(self, outbox: Outbox) -> None:
        """Write until nothing is left or the connection is full."""
        chunks = 0
        while not self._is_full and (data := self._taken(outbox, CHUNK)):
            self._write(data)
            outbox.lane.tally.writes += 1
            chunks += 1
            if chunks == CHUNKS and outbox.frames:
                outbox.lane.ready.append(outbox)  # After the others have had their turn.
                return
        if outbox.frames:
            self._blocked = outbox
            if self._watch is None:
                self._watch = self._loop.call_later(CLOSE_TIMEOUT, self._look)

    def _look(self) -> None:
        """See now and then whether a client that takes nothing is still the server's."""
        self._watch = None
        outbox = self._blocked
        if outbox is None:
            return
        if self._is_open():
            self._watch = self._loop.call_later(CLOSE_TIMEOUT, self._look)
        else:
            outbox.lane.call(self._lose, outbox)

    def _flush_closing_or_full(self, outbox: Outbox) -> None:
        if self._is_stopped or self._is_closing:
            outbox.discard()
            return
        if not self._is_open():
            self._lose(outbox)
            return
        self._write_out(outbox)
        if outbox.close_code is None:
            return
        if not outbox.frames:
            self._close(outbox)
        elif self._timer is None:
            self._timer = self._loop.call_later(self._peer.grace, self._close, outbox)

    def _lose(self, outbox: Outbox) -> None:
        """End with a client that its server has given up, and may wait for for ever."""
        outbox.discard()
        outbox.close(CUT)
        self._await_end()

    def _close(self, outbox: Outbox) -> None:
        """Send the close frame behind what was written, and abort if that does not help."""
        outbox.discard()
        if outbox.close_code == CloseCode.IDLE_TIMEOUT and self.silence():
            self._await_end(0)  # A close would wait in the kernel, and the socket with it.
            return
        self._await_end()
        self._send_close(outbox.close_code or 1000, outbox.close_reason)

    def _await_end(self, patience: float = CLOSE_TIMEOUT) -> None:
        self._is_closing = True
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(patience, self._give_up)
        if self._written is not None and not self._written.done():
            self._written.set_result(None)

    def _abort_late(self) -> None:
        self._timer = None  # It holds this, and would until garbage is collected.
        self._abort()

    def _give_up(self) -> None:
        self._abort_late()
        self._peer.endpoint.abandon()

    def _is_open(self) -> bool:
        """Return whether the server still takes frames for this client."""
        raise NotImplementedError

    def _is_closed(self) -> bool:
        """Return whether the server has seen the end of the connection."""
        raise NotImplementedError

    def _write(self, data: bytes) -> None:
        raise NotImplementedError

    def _send_close(self, code: int, reason: str) -> None:
        raise NotImplementedError

    def _abort(self) -> None:
        raise NotImplementedError

    def _answer(self, *ping: Any) -> None:
        """Answer a ping, given as the server has it."""
        raise NotImplementedError

    def _pause_reading(self) -> None:
        raise NotImplementedError

    def _resume_reading(self) -> None:
        raise NotImplementedError
