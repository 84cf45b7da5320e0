"""A WebSocket client that stops reading, on a bare socket: since a library reads ahead."""

from __future__ import annotations

import os
import socket
from base64 import b64encode
from contextlib import suppress
from types import TracebackType


class StalledClient:
    """Connects, and reads nothing after the handshake until `read_frames`."""

    def __init__(self, host: str, path: str = "/") -> None:
        name, port = host.split(":")
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        self._socket.settimeout(20)
        self._socket.connect((name, int(port)))
        key = b64encode(os.urandom(16)).decode()
        self._socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += self._socket.recv(1)
        if b" 101 " not in answer:
            raise ConnectionError(answer.decode())

    def read_frames(self) -> tuple[list[str], int | None]:
        """Read until the end; return the texts, and the code of the close frame if there was one.

        The close frame is answered, as RFC 6455 wants.
        """
        texts: list[str] = []
        with self._socket.makefile("rb") as stream, suppress(ConnectionError):
            while header := stream.read(2):
                size = header[1]
                if size > 125:
                    size = int.from_bytes(stream.read(2 if size == 126 else 8), "big")
                payload = stream.read(size)
                if header[0] & 0x0F == 8:
                    self._socket.sendall(b"\x88\x82\0\0\0\0" + payload[:2])
                    return texts, int.from_bytes(payload[:2], "big")
                texts.append(payload.decode())
        return texts, None

    def __enter__(self) -> StalledClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()
