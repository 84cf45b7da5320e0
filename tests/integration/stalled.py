"""WebSocket clients on a bare socket: one that stops reading, and one that reads at full speed.

A library reads ahead where it should not, and takes its time where it should not.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from base64 import b64encode
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

from benchmarks.wire import CLOSE, TEXT, FrameReader, client_frame

if TYPE_CHECKING:
    from typing_extensions import Self

DEADLINE = 60.0
"""Seconds; a server that parses very many frames takes its time where others run beside it."""


def fragments(opcode: int, number: int, payload: bytes = b"x") -> bytes:
    """Return a client's message of a number of frames, each with the same short payload."""
    rest = bytes([0x80 | len(payload)]) + bytes(4) + payload
    return bytes([opcode]) + rest + (b"\x00" + rest) * (number - 2) + b"\x80" + rest


class StalledClient:
    """Connects, and reads nothing after the handshake until `read_frames`.

    One that is not patient does not wait for the handshake either.
    """

    receive_buffer: int | None = 8192
    """In bytes; None leaves it to the system."""

    def __init__(
        self, host: str, path: str = "/", *, is_patient: bool = True, subprotocol: str = ""
    ) -> None:
        name, port = host.split(":")
        self._socket = socket.socket()
        if self.receive_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self.receive_buffer)
        self._socket.settimeout(DEADLINE)
        self._socket.connect((name, int(port)))
        key = b64encode(os.urandom(16)).decode()
        self._socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            f"Sec-WebSocket-Protocol: {subprotocol or 'none'}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        if not is_patient:
            return
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._socket.recv(1)
        if b" 101 " not in answer:
            raise ConnectionError(answer.decode())

    def send(self, opcode: int, payload: bytes) -> None:
        """Send a frame."""
        self.send_all(client_frame(payload, opcode))

    def send_all(self, data: bytes) -> None:
        """Send frames as they are."""
        self._socket.sendall(data)

    def flood(self, opcode: int, payload: bytes, times: int) -> None:
        """Send a frame many times, or as often as the server takes it."""
        frames = memoryview(client_frame(payload, opcode) * times)
        self._socket.settimeout(2)  # What was not taken by then is not going to be.
        with suppress(TimeoutError, ConnectionError):
            while frames:
                frames = frames[self._socket.send(frames[: 2**16]) :]
        self._socket.settimeout(DEADLINE)

    def reset(self) -> None:
        """Leave without a word."""
        linger = struct.pack("ii", 1, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._socket.close()

    def close(self) -> None:
        """Leave without a close frame."""
        self._socket.close()

    def read_frames(self) -> tuple[list[str], int | None]:
        """Read until the end; return the texts, and the code of the close frame if there was one.

        The close frame is answered, as RFC 6455 wants.
        """
        texts, reader = list[str](), FrameReader()
        with suppress(ConnectionError):
            while chunk := self._socket.recv(1 << 16):
                for opcode, payload in reader.feed(chunk):
                    if opcode == CLOSE:
                        self.send(CLOSE, payload[:2])
                        return texts, int.from_bytes(payload[:2], "big")
                    if opcode == TEXT:
                        texts.append(payload.decode())
        return texts, None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # Wakes a thread that reads.
        self._socket.close()


class EagerClient(StalledClient):
    """Connects, and reads whatever comes as fast as it comes, in a thread of its own."""

    receive_buffer: int | None = None

    def __init__(self, host: str, path: str = "/", *, is_patient: bool = True) -> None:
        super().__init__(host, path, is_patient=is_patient)
        self._received = bytearray()
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    @property
    def received_bytes(self) -> int:
        """How many bytes came so far."""
        return len(self._received)

    @property
    def is_closed(self) -> bool:
        """Whether the server has ended the connection."""
        return not self._reading.is_alive()

    def has(self, part: bytes) -> bool:
        """Return whether that is among what came so far."""
        return part in self._received

    def texts(self) -> list[str]:
        """Return the texts of the whole frames that came so far."""
        frames = FrameReader().feed(bytes(self._received))
        return [payload.decode(errors="replace") for opcode, payload in frames if opcode == TEXT]

    def _read(self) -> None:
        with suppress(OSError):
            while chunk := self._socket.recv(1 << 20):
                self._received += chunk
