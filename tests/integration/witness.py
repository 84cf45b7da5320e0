"""A WebSocket client on a bare connection that writes down how it ended; hundreds fit in a loop."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from base64 import b64encode
from typing import Any

from benchmarks.wire import CLOSE, TEXT, client_frame


class Witness:
    """A client that speaks `arcly.v1` or not, and answers the server's close or does not."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._answers = answers
        self.events: list[dict[str, Any]] = []
        """What came, without what `chatter` there was."""
        self.code: int | None = None
        """That of the server's close frame, once it came."""

    @property
    def bye(self) -> tuple[int, str, int] | None:
        """What the last frame advised, if it was a bye: its code, `reconnect` and `spread`."""
        if not self.events or self.events[-1]["event"] != "gateway:bye":
            return None
        bye = self.events[-1]["data"]
        return (bye["code"], bye["reconnect"], bye["spread"])

    @classmethod
    async def connect(
        cls, port: int, path: str = "/", *, is_v1: bool = False, answers: bool = True
    ) -> Witness:
        """Connect; raise `ConnectionRefusedError` if there is nobody, or no socket to be had."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        offer = "Sec-WebSocket-Protocol: arcly.v1\r\n" if is_v1 else ""
        key = b64encode(os.urandom(16)).decode()
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n{offer}"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        try:
            answer = await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            raise ConnectionRefusedError from None
        if b" 101 " not in answer:
            writer.close()
            raise ConnectionRefusedError(answer.decode())
        return cls(reader, writer, answers=answers)

    def send(self, event: str, data: object = None) -> None:
        """Send an event."""
        self._writer.write(client_frame(json.dumps({"event": event, "data": data}).encode(), TEXT))

    async def until(self, event: str) -> dict[str, Any]:
        """Return the next event of that name."""
        while self.code is None:
            await self._read_frame()
            if self.events and self.events[-1]["event"] == event:
                return self.events[-1]
        raise ConnectionError(f"closed with {self.code} before {event!r}")

    async def until_closed(self) -> None:
        """Read until the server has hung up."""
        try:
            while True:
                await self._read_frame()
        except (asyncio.IncompleteReadError, ConnectionError):
            self._writer.close()

    def stall(self) -> None:
        """Read nothing from now on."""
        self._writer.transport.pause_reading()  # type: ignore[attr-defined]
        bottom = self._writer.get_extra_info("socket")
        bottom.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    def leave(self) -> None:
        """Hang up."""
        self._writer.transport.abort()

    async def _read_frame(self) -> None:
        first, size = await self._reader.readexactly(2)
        if size > 125:
            extended = await self._reader.readexactly(2 if size == 126 else 8)
            size = int.from_bytes(extended, "big")
        payload = await self._reader.readexactly(size)
        if first & 0x0F == CLOSE:
            self.code = int.from_bytes(payload[:2], "big")
            if self._answers:
                self._writer.write(client_frame(payload[:2], CLOSE))
        elif first & 0x0F == TEXT and b'"chatter"' not in payload:
            self.events.append(json.loads(payload))
