"""Clients of event streams on a bare socket: what browsers have for it reads as fast as it can."""

from __future__ import annotations

import itertools
import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

DEADLINE = 20.0


class Listener:
    """Asks for a path, and reads nothing of the response before it is asked for it.

    `body` is all of the response that was read so far, without its head and without chunks.
    """

    def __init__(
        self,
        host: str,
        path: str = "/stream",
        *,
        method: str = "GET",
        version: str = "1.1",
        receive_buffer: int | None = None,
        body: bytes = b"",
        context: ssl.SSLContext | None = None,
        **headers: str,
    ) -> None:
        self._socket = socket.socket()
        if receive_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.settimeout(DEADLINE)
        name, port = host.split(":")
        self._socket.connect((name, int(port)))
        if context is not None:
            self._socket = context.wrap_socket(self._socket, server_hostname=name)
        more = "".join(f"{key.replace('_', '-')}: {value}\r\n" for key, value in headers.items())
        head = f"{method} {path} HTTP/{version}\r\nHost: {host}\r\n{more}\r\n"
        self._socket.sendall(head.encode() + body)
        self._unread = b""
        self._has_head = self._is_chunked = False
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.is_over = False

    def open(self) -> Self:
        """Read the head, of a response that must be a stream."""
        self._read_head()
        assert self.status == 200, self.status
        return self

    def frames(self) -> Iterator[dict[str, Any]]:
        """Yield what the stream says, but for pings, until it ends."""
        begin = 0
        while True:
            while (end := self.body.find(b"\n\n", begin)) >= 0:
                lines = self.body[begin:end].split(b"\n")
                data = [line[6:] for line in lines if line.startswith(b"data: ")]
                frame = json.loads(b"\n".join(data))
                begin = end + 2
                if frame["event"] != "gateway:ping":
                    yield frame
            if self.is_over:
                return
            self.read()

    def first(self, number: int) -> list[dict[str, Any]]:
        """Return so many frames."""
        return list(itertools.islice(self.frames(), number))

    def until(self, event: str) -> dict[str, Any]:
        """Return the first frame of an event, of all that ever came."""
        return next(frame for frame in self.frames() if frame["event"] == event)

    def read_all(self) -> str:
        """Read until the response ends, or the connection."""
        while not self.is_over:
            self.read()
        return self.body.decode()

    def read(self) -> None:
        """Read until there is more, or the end; fail where neither comes."""
        before = len(self.body)
        while not self._take() and not self.is_over and len(self.body) == before:
            self._receive()

    def send(self, data: bytes) -> None:
        """Send what has no place on a stream."""
        with suppress(ConnectionError):
            self._socket.sendall(data)

    def half_close(self) -> None:
        """Say that nothing more is sent."""
        self._socket.shutdown(socket.SHUT_WR)

    def has_ended(self) -> bool:
        """Return whether the server has closed the connection, once all of it is read."""
        deadline = time.monotonic() + DEADLINE
        try:
            while time.monotonic() < deadline:
                if not self._socket.recv(1 << 16):
                    return True
        except ConnectionError:
            return True
        return False

    def close(self) -> None:
        self._socket.close()

    def _take(self) -> bool:
        """Take what was received of the body; return whether that is all of it."""
        self._read_head()
        if not self._is_chunked:
            self.body += self._unread
            self._unread = b""
        while self._is_chunked and b"\r\n" in self._unread:
            size, _, rest = self._unread.partition(b"\r\n")
            length = int(size, 16)
            if len(rest) < length + 2:
                break
            self.body += rest[:length]
            self._unread = rest[length + 2 :]
            self.is_over = self.is_over or not length
        length = int(self.headers.get("content-length", "-1"))
        self.is_over = self.is_over or self.status == 204 or 0 <= length <= len(self.body)
        return self.is_over

    def _receive(self) -> None:
        try:
            data = self._socket.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        self._unread += data
        self.is_over = self.is_over or not data

    def _read_head(self) -> None:
        while not self._has_head and not self.is_over:
            head, end, rest = self._unread.partition(b"\r\n\r\n")
            if not end:
                self._receive()
                continue
            status, *lines = head.decode("latin-1").split("\r\n")
            self.status, self._has_head, self._unread = int(status.split()[1]), True, rest
            pairs = (line.partition(":") for line in lines)
            self.headers = {name.lower(): value.strip() for name, _, value in pairs}
            self._is_chunked = self.headers.get("transfer-encoding", "").lower() == "chunked"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
