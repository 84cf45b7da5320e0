"""The transport for uvicorn: prepared frames go straight to its asyncio (or uvloop) transport.

It serves uvicorn's `websockets-sansio` (which is `auto`) and `wsproto` implementations; the legacy
`websockets` one, and any that looks different, gets the ASGI transport. It needs no import of
uvicorn: a test pins what is used here.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from time import perf_counter
from typing import Any

from arcly_channels.close_codes import CloseCode
from arcly_channels.logs import noted
from arcly_channels.transports.base import CLOSE_TIMEOUT, TINY, Peer, Reading
from arcly_channels.transports.bounded import bound_buffer
from arcly_channels.transports.sockets import reset_at_close
from arcly_channels.transports.stream import CHUNK, StreamTransport, drop_messages, join_fragments
from arcly_channels.wire.envelope import close_frame

logger = logging.getLogger(__name__)

SLICE = 8 * 1024
"""Bytes that uvicorn parses at a time, with every frame in them: 1,400 empty ones, in 4 to 8 ms."""

TURN = 0.002
"""Seconds of parsing for one client, after which others have as many as it took, or more."""

_HOOKS = ("pause_writing", "resume_writing", "handle_ping", "data_received")
_MORE_HOOKS = ("handle_pong", "handle_cont", "handle_parser_exception")
"""Those that not every implementation has."""
_NEEDED = (
    *("handshake_complete", "close_sent", "read_paused", "transport", "conn", "queue"),
    *("stop_keepalive", "connections"),
    *_HOOKS,
)


def find_protocol(send: object) -> Any | None:
    """Return the WebSocket protocol behind uvicorn's `send`, or None for anything else."""
    protocol: Any = getattr(send, "__self__", None)
    if not type(protocol).__module__.startswith("uvicorn.protocols.websockets."):
        return None
    if not all(hasattr(protocol, name) for name in _NEEDED):
        return None
    return protocol


def reading_of(send: object) -> Reading | None:
    """Return how to keep uvicorn from reading a connection; None where it is not known."""
    protocol = find_protocol(send)
    if protocol is None:
        return None

    def resume() -> None:
        if not protocol.read_paused:
            protocol.transport.resume_reading()

    return Reading(protocol.transport.pause_reading, resume)


class UvicornTransport(StreamTransport):
    """Writes to one of uvicorn's WebSocket connections."""

    def __init__(self, peer: Peer, protocol: Any) -> None:
        super().__init__(peer, protocol.transport.get_extra_info("socket"))
        self._protocol = protocol
        self._connection: asyncio.Transport = protocol.transport
        self._connection.set_write_buffer_limits(high=CHUNK)  # TLS would have 512 KiB.
        self._closing: asyncio.Task[None] | None = None
        self._unparsed: deque[bytes] = deque()
        self._turn: asyncio.Handle | None = None
        self._is_reading_paused = False
        self._has_failed = False
        protocol.pause_writing, protocol.resume_writing = self._on_pause, self._on_resume
        protocol.handle_ping, protocol.data_received = self._on_ping, self._on_data
        if hasattr(protocol, "pending_ping_payload"):
            protocol.handle_pong = self._on_pong
        if hasattr(protocol, "handle_cont"):  # wsproto's fragments are counted by their buffer.
            protocol.handle_cont = self._on_fragment
        self._connection.set_protocol(protocol)  # uvloop calls the `data_received` that it knows.
        self._bound(peer.message_bytes)

    def received(self) -> None:
        if self._is_full or self._is_ignored:  # uvicorn read on when it gave us what it had.
            self._pause_reading()
        elif self._unparsed:
            self._go_on()

    def ignore(self) -> None:
        super().ignore()
        self._unparsed.clear()
        drop_messages(self._protocol.queue)
        self._end_parsing()

    async def stop(self) -> None:
        try:
            await super().stop()
            if self._closing is not None:
                await asyncio.wait([self._closing], timeout=CLOSE_TIMEOUT)
        finally:
            if self._closing is not None:
                self._closing.cancel()
            if self._timer is None:
                self._let_go()

    def _let_go(self) -> None:
        self._unparsed.clear()
        if self._connection.is_closing():
            self._end_parsing()
        for name in (*_HOOKS, *_MORE_HOOKS):  # They lead back here.
            vars(self._protocol).pop(name, None)

    def _end_parsing(self) -> None:
        """Drop what websockets has of the last message, and of half of the next.

        That would stay until the next garbage collection. From now on nothing may be parsed.
        """
        connection = self._protocol.conn
        if hasattr(connection, "parser"):
            connection.reader.discard()
            connection.parser.close()
            if connection.parser_exc is not None:
                connection.parser_exc.__traceback__ = None  # It leads to the parser that failed.

    def _on_pause(self) -> None:
        type(self._protocol).pause_writing(self._protocol)
        self.pause()

    def _on_resume(self) -> None:
        type(self._protocol).resume_writing(self._protocol)
        self.resume()

    def _is_open(self) -> bool:
        return not (self._protocol.close_sent or self._connection.is_closing())

    def _is_closed(self) -> bool:
        return self._protocol not in self._protocol.connections

    def _write(self, data: bytes) -> None:
        self._connection.write(data)

    def _answer(self, *ping: Any) -> None:
        type(self._protocol).handle_ping(self._protocol, *ping)

    def _send_close(self, code: int, reason: str) -> None:
        if self._has_failed:  # uvicorn thinks that it has.
            self._write(close_frame(code, reason))
            return
        self._closing = self._loop.create_task(self._close_by_asgi(code, reason))

    async def _close_by_asgi(self, code: int, reason: str) -> None:
        """Close as uvicorn wants it, which waits while the client does not read."""
        try:
            await self._peer.send({"type": "websocket.close", "code": code, "reason": reason})
        except OSError:
            pass  # The client is gone.
        except Exception:
            extra = noted(code=code, reason=reason)
            logger.exception(
                "uvicorn refused to close a connection, which will be aborted", extra=extra
            )
        self._go_on()  # As uvicorn does then, for the answer.

    def _abort(self) -> None:
        reset_at_close(self._bottom)  # Or the kernel goes on trying, for minutes.
        self._connection.abort()
        self._let_go()

    # Inbound

    def _on_data(self, data: bytes) -> None:
        """Take what was read, 256 KB it may be, all of which uvicorn would parse at once."""
        if self._is_ignored:
            return
        if len(data) <= SLICE and not self._unparsed:
            self._parse(data)
            self._join_fragments()
            return
        self._unparsed.extend(data[at : at + SLICE] for at in range(0, len(data), SLICE))
        if self._turn is None:
            self._parse_some()

    def _parse_some(self) -> None:
        """Parse for one turn; what is left waits for as long, or for uvicorn to read on."""
        self._turn = None
        taken, started = 0.0, perf_counter()  # The clock of uvloop counts milliseconds.
        try:
            while self._unparsed and self._is_reading() and taken <= TURN:
                self._parse(self._unparsed.popleft())
                taken = perf_counter() - started
        except Exception:
            self._connection.abort()  # As a loop does that called it itself.
            raise
        self._join_fragments()
        self._go_on(after=taken)  # A neighbour needs several turns of the loop to be served.

    def _parse(self, data: bytes) -> None:
        type(self._protocol).data_received(self._protocol, data)

    def _on_pong(self, pong: Any) -> None:
        if self._protocol.pending_ping_payload is None:
            self._peer.endpoint.bothered()
        type(self._protocol).handle_pong(self._protocol, pong)

    def _on_fragment(self, fragment: Any) -> None:
        if len(fragment.data) < TINY:
            self._peer.endpoint.bothered()
        type(self._protocol).handle_cont(self._protocol, fragment)

    def _join_fragments(self) -> None:
        join_fragments(getattr(self._protocol, "frames", []))  # wsproto keeps none.

    def _go_on(self, after: float = 0.0) -> None:
        """Read on where uvicorn and the client let us: what was read already first, and later."""
        if self._connection.is_closing():
            self._unparsed.clear()
        elif self._unparsed:
            self._connection.pause_reading()
            if self._turn is None and self._is_reading():
                self._turn = self._loop.call_later(after, self._parse_some)
        elif self._is_reading():
            self._connection.resume_reading()

    def _is_reading(self) -> bool:
        """Return whether uvicorn wants more from the client, and we let it."""
        is_paused = self._is_reading_paused or self._protocol.read_paused
        return not (is_paused or self._connection.is_closing())

    def _pause_reading(self) -> None:
        self._is_reading_paused = True
        if not self._connection.is_closing():
            self._connection.pause_reading()

    def _resume_reading(self) -> None:
        self._is_reading_paused = False
        self._go_on()

    # Messages that are too large

    def _bound(self, limit: int) -> None:
        """Have uvicorn take no message of more than `limit` bytes, and leave the close to us.

        With 0 it is uvicorn's own limit that counts.
        """
        connection = self._protocol.conn
        if not hasattr(connection, "max_message_size"):
            bound_buffer(self._protocol, limit, self._peer.endpoint)
        elif limit:
            connection.max_message_size = limit
            self._protocol.handle_parser_exception = self._on_failure

    def _on_failure(self) -> None:
        """Say why, where uvicorn would close the connection at once. It has dropped what came."""
        connection = self._protocol.conn
        if connection.close_sent.code != CloseCode.MESSAGE_TOO_BIG:
            type(self._protocol).handle_parser_exception(self._protocol)
        elif not self._has_failed:
            self._has_failed = True
            connection.data_to_send()  # Its close frame, which is to come behind our bye.
            self._protocol.stop_keepalive()
            self._peer.endpoint.too_large()
