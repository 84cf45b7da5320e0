"""Clients of a real server, for tests: one talks in events, the other has a browser's cookies."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from http.cookiejar import CookieJar
from typing import Any
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, Request, build_opener

import pytest
from websockets import Subprotocol
from websockets.exceptions import ConnectionClosed
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
        """Return the next event, or raise `TimeoutError`; a ping comes at any time, and is none."""
        while (envelope := self.receive_any())["event"] == "gateway:ping":
            pass
        return envelope

    def receive_any(self) -> dict[str, Any]:
        """Return the next event, be it a ping, or raise `TimeoutError`."""
        envelope: dict[str, Any] = json.loads(self.socket.recv(DEADLINE))
        return envelope

    def sync(self) -> None:
        """Return once the server has handled all that was sent, having sent nothing itself."""
        self.send("sync")
        assert self.receive()["data"]["code"] == "unknown_event"

    def closed(self) -> int | None:
        """Return the code that the server closes with, once it has, having sent nothing else.

        But for a bye, which tells a client of `arcly.v1` the same.
        """
        try:
            if self.socket.subprotocol is not None:  # A bye may have been taken already.
                assert self.receive()["event"] == "gateway:bye"
            self.socket.recv(DEADLINE)
        except ConnectionClosed as closed:
            return None if closed.rcvd is None else closed.rcvd.code
        pytest.fail("the server goes on")


class Visitor:
    """A browser's cookies, and the requests it would make; to `name`, where it is not an IP."""

    def __init__(self, server: Server, name: str | None = None) -> None:
        self.server = server
        self.host = server.host if name is None else f"{name}:{server.port}"
        self.cookies = CookieJar()
        self._opener = build_opener(HTTPCookieProcessor(self.cookies))

    def get(self, path: str) -> str:
        return self._open(path)[1]

    def post(self, path: str, **fields: str) -> tuple[str, str]:
        """Send a form; return the address that this leads to, and what is there."""
        token = next((each.value for each in self.cookies if each.name == "csrftoken"), None)
        return self._open(path, urlencode({"csrfmiddlewaretoken": token, **fields}).encode())

    def enter(self, **fields: str) -> tuple[str, str]:
        """Fill the form of the demo's chat, as `post` does."""
        self.get("/enter/")
        return self.post("/enter/", **fields)

    def headers(self) -> dict[str, str]:
        """Return what the page would send along with its WebSocket."""
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.cookies)
        return {"Origin": f"http://{self.host}", "Cookie": cookies}

    def headers_of(self, path: str) -> Message:
        """Return what the server says about a page before it sends it."""
        request = Request(self.server.url + path, headers={"Host": self.host})
        with self._opener.open(request, timeout=DEADLINE) as response:
            headers: Message = response.headers
            return headers

    def _open(self, path: str, body: bytes | None = None) -> tuple[str, str]:
        request = Request(self.server.url + path, body, {"Host": self.host})
        with self._opener.open(request, timeout=DEADLINE) as response:
            return response.url, response.read().decode()


@contextmanager
def connected(
    server: Server,
    headers: Mapping[str, str] | None = None,
    path: str = "/ws/chat/",
    *,
    host: str | None = None,
    subprotocol: str | None = None,
    tls: ssl.SSLContext | None = None,
    source: str = "",
) -> Iterator[Client]:
    """Connect to a gateway of `server`; without `headers`, as a page of that server would.

    `host` is the name and port that the server is asked for, where that is not its address, and
    `source` the address that the client has, where that is not 127.0.0.1.
    """
    if headers is None:
        headers = {"Origin": server.url}
    connection = socket.create_connection(("127.0.0.1", server.port), DEADLINE, (source, 0))
    url = f"{'wss' if tls else 'ws'}://{host or server.host}{path}"
    subprotocols = None if subprotocol is None else [Subprotocol(subprotocol)]
    with connect(
        url, sock=connection, ssl=tls, additional_headers=headers, subprotocols=subprotocols
    ) as websocket:
        yield Client(websocket)


@contextmanager
def chatting(
    server: Server, headers: Mapping[str, str], *, host: str | None = None
) -> Iterator[Client]:
    """Connect to the chat of the demo as its page does, which speaks `arcly.v1`."""
    with connected(server, headers, host=host, subprotocol="arcly.v1") as client:
        assert client.receive()["event"] == "gateway:welcome"
        yield client


def join(client: Client, room: str) -> None:
    """Join a room, and return once the client is in it."""
    client.send("gateway:join", {"room": room}, ref="join")
    assert client.receive()["event"] == "gateway:joined"
