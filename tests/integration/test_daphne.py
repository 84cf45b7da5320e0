"""What Daphne alone needs: its private parts, TLS, middleware that hides it, and its way in."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from autobahn.twisted.websocket import WebSocketServerFactory
from autobahn.websocket.protocol import WebSocketProtocol
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from daphne.server import Server as DaphneServer
from daphne.ws_protocol import WebSocketProtocol as DaphneProtocol
from twisted.internet import abstract, asyncioreactor, tcp
from twisted.protocols import tls
from websockets.sync.client import connect

from arcly_channels.fanout.outbox import Outbox
from arcly_channels.transports.base import Peer
from arcly_channels.transports.daphne import DaphneTransport
from arcly_channels.wire.envelope import Frame
from tests.clients import Client, connected
from tests.integration.stalled import StalledClient
from tests.integration.test_outbound import PROJECT, report, ticks
from tests.memory import peak_memory, reset_peak_memory
from tests.servers import Server


def daphne(application: str, *endpoint: str, project: str = PROJECT) -> tuple[str, ...]:
    endpoint = endpoint or ("--port", "{port}")
    return ("-m", "daphne", *endpoint, f"{project}:{application}")


# What `transports.daphne` uses of other people's private parts. When one of these fails, a new
# version has changed them: the gateway falls back to the ASGI transport, unbounded on Daphne.


def test_daphne_passes_a_partial_of_handle_reply_as_send() -> None:
    assert asyncio.iscoroutinefunction(DaphneServer.handle_reply)
    source = Path(__import__("daphne.server").server.__file__).read_text(encoding="utf-8")
    assert "send=partial(self.handle_reply, protocol)" in source
    assert "receive=input_queue.get" in source
    assert issubclass(DaphneProtocol, WebSocketProtocol)


@pytest.mark.parametrize(
    "name",
    [
        "sendCloseFrame",
        "onMessage",
        "onMessageFrameBegin",
        "onPong",
        "STATE_OPEN",
    ],
)
def test_the_websocket_protocol_has_what_is_used(name: str) -> None:
    assert hasattr(DaphneProtocol, name)


def test_the_plain_connection_has_what_is_used_and_the_tls_one_hides_it() -> None:
    connection = abstract.FileDescriptor(reactor=object())
    assert connection.dataBuffer == b""
    assert connection._tempDataBuffer == []
    assert connection._tempDataLen == 0
    assert connection.offset == 0
    assert connection.bufferSize == 65536
    assert hasattr(tcp.Connection, "writeSomeData")
    assert not hasattr(tls.BufferingTLSTransport, "writeSomeData")


def test_the_reactor_has_the_loop_that_is_compared_with_the_running_one() -> None:
    names = asyncioreactor.AsyncioSelectorReactor.__init__.__code__.co_names
    assert "_asyncioEventloop" in names


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
@pytest.mark.parametrize("is_text", [True, False])
def test_our_frames_are_the_bytes_that_autobahn_makes(size: int, is_text: bool) -> None:
    payload = b"x" * size
    prepared = WebSocketServerFactory().prepareMessage(payload, isBinary=not is_text)
    assert Frame(payload, is_text=is_text).wire == prepared.payloadHybi


# Pings and closes


class Connection:
    """The parts of a TLS connection of Twisted's that a transport calls."""

    transport = None
    dataBuffer = b""  # noqa: N815
    _tempDataLen = 0  # noqa: N815

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def unregisterProducer(self) -> None: ...  # noqa: N802
    def registerProducer(self, producer: object, streaming: bool) -> None: ...  # noqa: N802
    def pauseProducing(self) -> None: ...  # noqa: N802


class Protocol:
    """The parts of a WebSocket protocol of autobahn's that a transport calls."""

    def __init__(self) -> None:
        self.transport = Connection()
        self.state = WebSocketProtocol.STATE_OPEN
        self.muted = False
        self.server = object()
        self.last_ping = 0.0
        self.calls: list[Any] = []

    def onMessage(self, payload: bytes, is_binary: bool) -> None: ...  # noqa: N802
    def onPong(self, payload: bytes) -> None: ...  # noqa: N802

    def sendCloseFrame(self, code: int, reasonUtf8: bytes) -> None:  # noqa: N802, N803
        self.calls.append((code, reasonUtf8))


def transport_to(
    protocol: Protocol, receive: object = None, endpoint: object = None
) -> DaphneTransport:
    peer = Peer({}, receive, None, 1.0, 1, 0, endpoint)  # type: ignore[arg-type]
    return DaphneTransport(peer, protocol)


async def test_silence_of_a_client_that_is_not_read_says_nothing() -> None:
    queue: asyncio.Queue[int] = asyncio.Queue()
    protocol = Protocol()
    transport = transport_to(protocol, queue.get)
    outbox = Outbox(transport=transport)
    assert transport.ask(outbox)
    for number in range(2):
        queue.put_nowait(number)
    protocol.onMessage(b"", False)  # More than one waits: reading is paused.
    assert not transport.ask(outbox)
    assert protocol.transport.written == [b"\x89\x00"] * 2


async def test_answer_to_a_ping_is_none_that_counts() -> None:
    protocol, endpoint = Protocol(), Mock()
    transport = transport_to(protocol, endpoint=endpoint)
    for bothers in range(2):
        transport.ask(Outbox(transport=transport))
        protocol.onPong(b"")
        assert endpoint.bothered.call_count == bothers
        protocol.onPong(b"")
        assert endpoint.bothered.call_count == bothers + 1
    assert endpoint.seen.call_count == 4


@pytest.mark.parametrize("reason", ["é" * 100, "\ud800"], ids=["long", "surrogate"])
async def test_close_reason_is_always_short_and_valid_utf_8(reason: str) -> None:
    protocol = Protocol()
    outbox = Outbox(transport=transport_to(protocol))
    outbox.close(4000, reason)
    outbox.flush()
    ((_, sent),) = protocol.calls
    assert sent.decode()
    assert len(sent) <= 123


# Middleware that hides the connection


def test_middleware_that_hides_daphne_costs_a_warning_and_the_bound(tmp_path: Path) -> None:
    with Server(*daphne("hidden"), directory=tmp_path) as server:
        for _ in range(2):
            with connected(server, {}, "/") as client:
                assert client.receive()["data"] == "AsgiTransport"
        assert server.log.read_text().count("arcly_channels.asgi.GatewayApplication") == 1


def test_gateway_application_shows_daphne_again(tmp_path: Path) -> None:
    with (
        Server(*daphne("found_again"), directory=tmp_path) as server,
        connected(server, {}, "/") as client,
    ):
        assert client.receive()["data"] == "DaphneTransport"


# TLS


@contextmanager
def tls_server(directory: Path, project: str = PROJECT) -> Iterator[tuple[Server, ssl.SSLContext]]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(timezone.utc)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    (directory / "certificate.pem").write_bytes(certificate)
    (directory / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    endpoint = "ssl:{port}:interface=127.0.0.1:privateKey=key.pem:certKey=certificate.pem"
    root = str(Path(__file__).resolve().parent.parent.parent)
    arguments = daphne("application", "--endpoint", endpoint, project=project)
    environment = {"PYTHONPATH": root}
    server = Server(*arguments, directory=directory, environment=environment, cwd=directory)
    with server:
        yield server, ssl.create_default_context(cadata=certificate.decode())


def test_frames_are_encrypted_and_in_order_over_tls(tmp_path: Path) -> None:
    with (
        tls_server(tmp_path) as (server, context),
        connect(f"wss://{server.host}/", ssl=context) as socket,
    ):
        client = Client(socket)
        assert client.receive()["data"] == "DaphneTransport"
        client.send("burst", 2000)
        assert ticks(client, 2000) == list(range(2000))


@pytest.mark.alone
def test_a_stalled_client_is_evicted_over_tls(tmp_path: Path) -> None:
    with (
        tls_server(tmp_path) as (server, context),
        connect(f"wss://{server.host}/control", ssl=context) as socket,
        connect(f"wss://{server.host}/", ssl=context, max_queue=1),  # It is never read from.
    ):
        control = Client(socket)
        control.receive()
        report(control, lambda now: now["members"] == 1)
        control.send("burst", 10_000)
        assert control.receive()["event"] == "done"
        after = report(control, lambda now: now["closed"])
        assert (after["evictions"], after["closed"]) == (1, [4008])


# The end


def test_sigterm_lets_young_and_busy_connections_say_goodbye(tmp_path: Path) -> None:
    with Server(*daphne("application"), directory=tmp_path) as server, ExitStack() as clients:
        for _ in range(10):
            client = clients.enter_context(connected(server, {}, "/"))
            client.receive()
            client.send("sleep", 3600)
            assert client.receive()["event"] == "good night"
        server.stop()
        assert server.log.read_text().count("closed with 1012") == 10


@pytest.mark.parametrize("way", ["reset", "close"])
def test_client_that_leaves_while_it_is_asked_about_is_no_error(tmp_path: Path, way: str) -> None:
    with (
        Server(*daphne("application"), directory=tmp_path) as server,
        connected(server, {}, "/control") as control,
    ):
        control.receive()
        hasty = StalledClient(server.host, "/doubtful", is_patient=False)
        getattr(hasty, way)()
        after = report(control, lambda now: now["closed"])
        assert (after["connections"], len(after["closed"])) == (1, 1)
        assert "Traceback" not in server.log.read_text()
        assert "1011" not in server.log.read_text()


# The way in


def test_a_flood_of_frames_waits_in_the_client_and_loses_nothing(tmp_path: Path) -> None:
    frames, padding = 4000, "x" * 10_000
    with (
        Server(*daphne("application"), directory=tmp_path) as server,
        connected(server, {}, "/control") as control,
        connected(server, {}, "/control") as sender,
    ):
        control.receive(), sender.receive()
        reset_peak_memory(server.pid)
        before = peak_memory(server.pid)
        for number in range(frames):
            sender.socket.send(json.dumps({"event": "take", "data": {"n": number, "p": padding}}))
        after = report(control, lambda now: len(now["handled"]) == frames)
        assert after["handled"] == list(range(frames))
        assert peak_memory(server.pid) - before < 16_000_000  # Of 40 MB that were sent.
