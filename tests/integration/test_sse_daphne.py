"""Event streams on Daphne over TLS and HTTP/2, and what is used of its private parts for them."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from daphne.http_protocol import WebRequest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes
from twisted.web._http2 import H2Connection as TwistedConnection
from twisted.web._http2 import H2Stream
from twisted.web.http import HTTPChannel
from websockets.sync.client import connect

from tests.clients import DEADLINE, Client
from tests.integration.listening import Listener
from tests.integration.test_daphne import tls_server
from tests.integration.test_outbound import report
from tests.memory import peak_memory, reset_peak_memory
from tests.servers import Server

pytestmark = pytest.mark.alone

PROJECT = "tests.integration.sse_project"
WIDE = 2**31 - 1
"""The widest window that a client of HTTP/2 may open."""


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, ssl.SSLContext]]:
    with tls_server(tmp_path_factory.mktemp("tls"), PROJECT) as served:
        yield served


@pytest.fixture
def control(secure: tuple[Server, ssl.SSLContext]) -> Iterator[Client]:
    server, context = secure
    context.set_alpn_protocols(["http/1.1"])
    with connect(f"wss://{server.host}/control", ssl=context) as opened:
        client = Client(opened)
        client.receive()
        yield client


class Http2:
    """A client of HTTP/2 whose windows are as wide as can be."""

    def __init__(self, server: Server, context: ssl.SSLContext) -> None:
        context.set_alpn_protocols(["h2"])
        plain = socket.create_connection(("127.0.0.1", server.port), DEADLINE)
        self._socket = context.wrap_socket(plain, server_hostname="127.0.0.1")
        assert self._socket.selected_alpn_protocol() == "h2"
        self._connection = H2Connection(H2Configuration(header_encoding="utf-8"))
        self._connection.initiate_connection()
        self._connection.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: WIDE})
        self._connection.increment_flow_control_window(WIDE - 65_535)
        headers = {
            ":method": "GET",
            ":scheme": "https",
            ":path": "/stream",
            ":authority": server.host,
        }
        self._connection.send_headers(1, list(headers.items()), end_stream=True)
        self._flush()
        self.body = b""
        self.is_over = False

    def read(self) -> None:
        """Read some more."""
        for event in self._connection.receive_data(self._socket.recv(1 << 16)):
            if isinstance(event, DataReceived):
                self.body += event.data
            self.is_over = self.is_over or isinstance(event, (StreamEnded, StreamReset))
        self._flush()

    def until(self, part: bytes) -> None:
        while part not in self.body:
            assert not self.is_over, self.body
            self.read()

    def close(self) -> None:
        self._socket.close()

    def _flush(self) -> None:
        self._socket.sendall(self._connection.data_to_send())


@contextmanager
def over_http2(secure: tuple[Server, ssl.SSLContext]) -> Iterator[Http2]:
    client = Http2(*secure)
    try:
        yield client
    finally:
        client.close()


def test_a_stream_over_http_2_is_heard_and_ended(
    secure: tuple[Server, ssl.SSLContext], control: Client
) -> None:
    with over_http2(secure) as client:
        client.until(b'{"event":"ready","data":"Http2EventTransport"}')
        control.send("close_streams", 4403)
        client.until(b'"code":4403')
        while not client.is_over:
            client.read()
        report(control, lambda now: now["closed"][-1:] == [4403])


def test_a_stream_over_http_2_that_is_left_is_gone(
    secure: tuple[Server, ssl.SSLContext], control: Client
) -> None:
    before = len(report(control)["closed"])
    with over_http2(secure) as client:
        client.until(b'"ready"')
    report(control, lambda now: now["closed"][before:] == [1005])


@pytest.mark.parametrize("kind", ["http/1.1", "h2"])
def test_who_reads_nothing_is_evicted_at_little_cost_over_tls(
    secure: tuple[Server, ssl.SSLContext], control: Client, kind: str
) -> None:
    server, context = secure
    before = report(control)
    if kind == "h2":
        stalled: Http2 | Listener = Http2(server, context)
    else:
        stalled = Listener(server.host, receive_buffer=8192, context=context).open()
    stalled.until(b"ready" if isinstance(stalled, Http2) else "ready")  # type: ignore[arg-type]
    reset_peak_memory(server.pid)
    memory = peak_memory(server.pid)
    control.send("frames", {"frames": 600, "size": 32_000, "in_thread": False})
    assert control.receive()["event"] == "done"
    now = report(control, lambda now: len(now["closed"]) > len(before["closed"]))
    assert (now["evictions"], now["closed"][-1]) == (before["evictions"] + 1, 4008)
    assert peak_memory(server.pid) - memory < 8_000_000
    stalled.close()


def test_a_drain_over_http_2_says_goodbye(tmp_path: Path) -> None:
    with tls_server(tmp_path, PROJECT) as secure, over_http2(secure) as client:
        client.until(b'"ready"')
        secure[0].stop()
        client.until(b'"code":1012')
        assert "closed with 1012" in secure[0].log.read_text()


def test_daphne_and_twisted_have_what_is_used() -> None:
    for name in ("handle_reply", "registerProducer", "write", "connectionLost"):
        assert callable(getattr(WebRequest, name))
    source = Path(__import__("daphne.http_protocol").http_protocol.__file__).read_text()
    assert "self.request_start = time.time()" in source
    assert "self.duration() > self.server.http_timeout" in source
    assert HTTPChannel.persistent
    assert callable(HTTPChannel.unregisterProducer)
    assert callable(H2Stream.abortConnection)
    names = TwistedConnection.__init__.__code__.co_names
    assert {"_outboundStreamQueues", "streams"} <= set(names)
