"""A WebSocket client for tests, which talks in events to a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.servers import Server

DEADLINE = 10.0


class Client:
    """One end of a WebSocket, for tests that are not async."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def send(self, event: str, data: Any = None, **more: Any) -> None:
        self.socket.send(json.dumps({"event": event, "data": data, **more}))

    def receive(self) -> dict[str, Any]:
        """Return the next event, or raise `TimeoutError`."""
        envelope: dict[str, Any] = json.loads(self.socket.recv(DEADLINE))
        return envelope

    def sync(self) -> None:
        """Return once the server has handled all that was sent, having sent nothing itself."""
        self.send("sync")
        assert self.receive()["data"]["code"] == "unknown_event"


@contextmanager
def connected(
    server: Server, headers: Mapping[str, str] | None = None, path: str = "/ws/chat/"
) -> Iterator[Client]:
    """Connect to a gateway of `server`; without `headers`, as a page of that server would."""
    if headers is None:
        headers = {"Origin": server.url}
    with connect(f"ws://{server.host}{path}", additional_headers=headers) as socket:
        yield Client(socket)
