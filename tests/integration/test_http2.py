"""Many connections over one of HTTP/2 (RFC 8441) on hypercorn, each with a window."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from h2.config import H2Configuration
from h2.connection import H2Connection

from tests.clients import DEADLINE, connected
from tests.integration.test_outbound import SERVERS, report
from tests.integration.test_sse import command
from tests.servers import Server

SOCKETS = 5


@contextmanager
def without_window(server: Server, **asked: str) -> Iterator[None]:
    """Open some WebSockets on one connection, or what is asked for, and take nothing from any."""
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE) as connection:
        client = H2Connection(H2Configuration(header_encoding="utf-8"))
        client.initiate_connection()
        for _ in range(SOCKETS):
            common = {":scheme": "http", ":path": "/", ":authority": server.host}
            socket_only = {":protocol": "websocket", "sec-websocket-version": "13"}
            headers = {":method": "CONNECT", **common, **({} if asked else socket_only)}
            headers |= {f":{name}": value for name, value in asked.items()}
            stream = client.get_next_available_stream_id()
            in_order = sorted(headers.items(), key=lambda pair: not pair[0].startswith(":"))
            client.send_headers(stream, in_order, end_stream=bool(asked))
        connection.sendall(client.data_to_send())
        yield


def test_client_that_grants_no_window_is_evicted(tmp_path: Path) -> None:
    with (
        Server(*SERVERS["hypercorn"], directory=tmp_path) as server,
        connected(server, {}, "/control") as control,
        without_window(server),
    ):
        control.receive()
        report(control, lambda now: now["members"] == SOCKETS)
        control.send("burst", 3000)
        assert control.receive()["event"] == "done"
        assert report(control)["evictions"] == SOCKETS
        report(control, lambda now: len(now["closed"]) == SOCKETS)


def test_event_stream_that_grants_no_window_is_ended(tmp_path: Path) -> None:
    with (
        Server(*command("hypercorn"), directory=tmp_path) as server,
        connected(server, {}, "/control") as control,
        without_window(server, method="GET", path="/stream"),
    ):
        control.receive()
        report(control, lambda now: now["members"] == SOCKETS)
        control.send("burst", 3000)
        assert control.receive()["event"] == "done"
        assert report(control)["evictions"] == SOCKETS
        report(control, lambda now: len(now["closed"]) == SOCKETS)
