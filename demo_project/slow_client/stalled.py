"""Clients that connect, and then do not read: `python -m demo_project.slow_client.stalled PORT…`.

They connect to servers of this machine only, and go after a while, or when their starter does.
"""

from __future__ import annotations

import base64
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterable

CLIENTS = 20  # To each server.
SECONDS = 60
BUFFER = 4096  # Bytes that the system keeps for a client, so that the server feels it soon.

HANDSHAKE = (
    "GET /ws/slow-client/ HTTP/1.1\r\n"
    "Host: localhost:{port}\r\n"
    "Origin: http://localhost:{port}\r\n"
    "Upgrade: websocket\r\n"
    "Connection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: {key}\r\n\r\n"
)


class Crowd:
    """The process with such clients, of which there is one at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def gather(self, ports: Iterable[int]) -> None:
        """Start it; those that are there already go."""
        self.disperse()
        command = [sys.executable, "-m", __name__, *map(str, ports)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE)  # noqa: S603  # Our own.

    def disperse(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.terminate()
            process.stdin.close()
            process.wait()


def connect(port: int) -> socket.socket:
    """Return a WebSocket from which nothing is read, not even the answer to the handshake."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)  # Before it connects.
    client.connect(("127.0.0.1", port))
    key = base64.b64encode(os.urandom(16)).decode()
    client.sendall(HANDSHAKE.format(port=port, key=key).encode())
    return client


def main() -> None:
    clients = [connect(int(port)) for port in sys.argv[1:] for _ in range(CLIENTS)]
    select.select([sys.stdin], [], [], SECONDS)  # It ends with whoever started this.
    for client in clients:
        client.close()


if __name__ == "__main__":
    main()
