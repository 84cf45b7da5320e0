"""WebSockets over HTTP/2 (RFC 8441) on hypercorn: many on one connection, each with a window."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from h2.config import H2Configuration
from h2.connection import H2Connection

from tests.clients import DEADLINE, connected
from tests.integration.test_outbound import SERVERS, report
from tests.servers import Server

SOCKETS = 5


@contextmanager
def without_window(server: Server) -> Iterator[None]:
    """Open some WebSockets on one connection, and take nothing from any."""
    with socket.create_connection(("127.0.0.1", server.port), DEADLINE) as connection:
        client = H2Connection(H2Configuration(header_encoding="utf-8"))
        client.initiate_connection()
        for _ in range(SOCKETS):
            headers = {
                ":method": "CONNECT",
                ":protocol": "websocket",
                ":scheme": "http",
                ":path": "/",
                ":authority": server.host,
                "sec-websocket-version": "13",
            }
            stream = client.get_next_available_stream_id()
            client.send_headers(stream, list(headers.items()))
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
