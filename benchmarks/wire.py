"""The bytes of a benchmark's client: what it needs of RFC 6455 and of Socket.IO."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Protocol

from .servers.commands import CONTROL_PATH, MEMBER_PATH

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


def upgrade_request(port: int, path: str) -> bytes:
    """The opening handshake. No extension is offered, so no server compresses."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()


def frame_size(payload: int) -> int:
    """How many bytes a server puts on the wire for one unfragmented frame of `payload` bytes."""
    return payload + (2 if payload < 126 else 4 if payload < 65536 else 10)


def client_frame(payload: str | bytes, opcode: int = TEXT) -> bytes:
    """A masked frame. The mask is zero: the server has to apply it, the client need not."""
    payload = payload.encode() if isinstance(payload, str) else payload
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 65536:
        length = bytes([0x80 | 126]) + size.to_bytes(2, "big")
    else:
        length = bytes([0x80 | 127]) + size.to_bytes(8, "big")
    return bytes([0x80 | opcode]) + length + bytes(4) + payload


class FrameReader:
    """Cuts a server's bytes into `(opcode, payload)` pairs; what is incomplete stays `pending`."""

    def __init__(self) -> None:
        self.pending = bytearray()

    def feed(self, data: bytes | memoryview) -> Iterator[tuple[int, bytes]]:
        self.pending += data
        while len(self.pending) >= 2:
            size, start = self.pending[1], 2
            if size >= 126:
                start = 4 if size == 126 else 10
                size = int.from_bytes(self.pending[2:start], "big")
            if len(self.pending) < start + size:
                return
            frame = self.pending[0] & 0x0F, bytes(self.pending[start : start + size])
            del self.pending[: start + size]
            yield frame


class Dialect(Protocol):
    """How one protocol over WebSocket names its endpoints and writes an event."""

    member_path: str
    control_path: str
    greeting: str | None

    def encode(self, event: str, data: Any) -> str: ...

    def decode(self, text: str) -> tuple[str, Any]: ...


class Envelopes:
    """Ours, which the peers without a protocol of their own borrow: `{"event": …, "data": …}`."""

    member_path = MEMBER_PATH
    control_path = CONTROL_PATH
    greeting: str | None = None

    def encode(self, event: str, data: Any) -> str:
        return json.dumps({"event": event, "data": data}, separators=(",", ":"))

    def decode(self, text: str) -> tuple[str, Any]:
        message = json.loads(text)
        return message["event"], message["data"]


class SocketIO:
    """Socket.IO 5 on Engine.IO 4, WebSocket from the first byte on."""

    member_path = "/socket.io/?EIO=4&transport=websocket"
    control_path = f"{member_path}&path={CONTROL_PATH}"
    greeting: str | None = "40"

    def encode(self, event: str, data: Any) -> str:
        return "42" + json.dumps([event, data], separators=(",", ":"))

    def decode(self, text: str) -> tuple[str, Any]:
        """Packets other than events (open, connect) come back as an event without a name."""
        if not text.startswith("42"):
            return "", None
        event, *data = json.loads(text[2:])
        return event, data[0] if data else None


class Chanx(Envelopes):
    """chanx's messages: `{"action": …, "payload": …}`."""

    def encode(self, event: str, data: Any) -> str:
        return json.dumps({"action": event, "payload": data}, separators=(",", ":"))

    def decode(self, text: str) -> tuple[str, Any]:
        message = json.loads(text)
        return message["action"], message.get("payload")
