"""The transport for uvicorn: prepared frames go straight to its asyncio (or uvloop) transport.

It serves uvicorn's `websockets-sansio` (which is `auto`) and `wsproto` implementations; the legacy
`websockets` one, and any that looks different, gets the ASGI transport. It needs no import of
uvicorn: a test pins what is used here.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from arcly_channels.transports.base import CLOSE_TIMEOUT, Peer
from arcly_channels.transports.stream import CHUNK, StreamTransport

logger = logging.getLogger(__name__)

_NEEDED = (
    *("handshake_complete", "close_sent", "read_paused", "transport"),
    *("pause_writing", "resume_writing", "handle_ping"),
)


def find_protocol(send: object) -> Any | None:
    """Return the WebSocket protocol behind uvicorn's `send`, or None for anything else."""
    protocol: Any = getattr(send, "__self__", None)
    if not type(protocol).__module__.startswith("uvicorn.protocols.websockets."):
        return None
    if not all(hasattr(protocol, name) for name in _NEEDED):
        return None
    return protocol if protocol.handshake_complete is True else None


class UvicornTransport(StreamTransport):
    """Writes to one of uvicorn's WebSocket connections."""

    def __init__(self, peer: Peer, protocol: Any) -> None:
        super().__init__(peer, protocol.transport.get_extra_info("socket"))
        self._protocol = protocol
        self._connection: asyncio.Transport = protocol.transport
        self._connection.set_write_buffer_limits(high=CHUNK)  # TLS would have 512 KiB.
        protocol.pause_writing, protocol.resume_writing = self._on_pause, self._on_resume
        protocol.handle_ping = self._on_ping
        self._closing: asyncio.Task[None] | None = None

    def received(self) -> None:
        if self._is_full:  # uvicorn went on reading when it gave us what it had.
            self._pause_reading()

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
        for name in ("pause_writing", "resume_writing", "handle_ping"):  # They lead back here.
            vars(self._protocol).pop(name, None)

    def _on_pause(self) -> None:
        type(self._protocol).pause_writing(self._protocol)
        self.pause()

    def _on_resume(self) -> None:
        type(self._protocol).resume_writing(self._protocol)
        self.resume()

    def _is_open(self) -> bool:
        return not (self._protocol.close_sent or self._connection.is_closing())

    def _write(self, data: bytes) -> None:
        self._connection.write(data)

    def _answer(self, *ping: Any) -> None:
        type(self._protocol).handle_ping(self._protocol, *ping)

    def _pause_reading(self) -> None:
        if not self._connection.is_closing():
            self._connection.pause_reading()

    def _resume_reading(self) -> None:
        if not (self._protocol.read_paused or self._connection.is_closing()):
            self._connection.resume_reading()

    def _send_close(self, code: int, reason: str) -> None:
        self._closing = self._loop.create_task(self._close_by_asgi(code, reason))

    async def _close_by_asgi(self, code: int, reason: str) -> None:
        """Close as uvicorn wants it, which waits while the client does not read."""
        try:
            await self._peer.send({"type": "websocket.close", "code": code, "reason": reason})
        except OSError:
            pass  # The client is gone.
        except Exception:
            logger.exception("uvicorn refused to close a connection, which will be aborted")

    def _abort(self) -> None:
        self._let_go()
        self._connection.abort()
