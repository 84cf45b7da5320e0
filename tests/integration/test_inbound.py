"""The way in on real servers: pings and frames that nobody reads must not cost memory.

Two are left out: granian answers pings itself, into a buffer without bound that nothing in Python
reaches; uvicorn's legacy implementation keeps `--ws-max-queue` (32) frames of any size. Neither is
told how large a message may be before it has all of it.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from websockets import Subprotocol
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from arcly_channels.wire.protocol import SUBPROTOCOL
from tests.clients import Client, connected
from tests.integration.stalled import EagerClient, StalledClient, fragments
from tests.integration.test_outbound import SERVERS, report
from tests.memory import peak_memory, process_of, reset_peak_memory
from tests.servers import Server

TEXT, PING = 1, 9
UNBOUND = {"granian", "uvicorn legacy"}
PADDING = b"x" * 125


@pytest.fixture(params=SERVERS, scope="module")
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    command = SERVERS[request.param]
    with Server(*command, directory=tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def control(server: Server) -> Iterator[Client]:
    with connected(server, {}, "/control") as client:
        client.receive()
        yield client


@contextmanager
def little_memory(server: Server, control: Client, most: int) -> Iterator[None]:
    """Fail if the server takes more than `most` bytes of memory meanwhile."""
    pid = process_of(server.pid)
    report(control)
    reset_peak_memory(pid)
    before = peak_memory(pid)
    yield
    report(control)
    assert peak_memory(pid) - before < most


@contextmanager
def uncompressed(server: Server) -> Iterator[Client]:
    """Connect without compression, as wsproto bounds nothing while it inflates."""
    v1, url = [Subprotocol(SUBPROTOCOL)], f"ws://{server.host}/control"
    with connect(url, compression=None, subprotocols=v1) as websocket:
        yield Client(websocket)


@pytest.mark.parametrize("server", sorted({*SERVERS} - {"granian"}), indirect=True)
def test_pings_that_are_not_read_cost_no_memory(server: Server, control: Client) -> None:
    with little_memory(server, control, 8_000_000), StalledClient(server.host) as stalled:
        stalled.flood(PING, PADDING, 60_000_000 // len(PADDING))
    report(control, lambda now: now["connections"] == 1)


@pytest.mark.parametrize("server", sorted({*SERVERS} - {"uvicorn legacy"}), indirect=True)
def test_frames_that_wait_for_a_busy_handler_cost_little_memory(
    server: Server, control: Client
) -> None:
    with little_memory(server, control, 24_000_000), StalledClient(server.host, "/control") as busy:
        busy.send(TEXT, b'{"event":"sleep","data":3}')
        busy.flood(TEXT, b" " * 1_000_000, 60)
        busy.reset()
    report(control, lambda now: now["connections"] == 1)


@pytest.mark.parametrize("server", ["daphne", "uvicorn", "uvicorn wsproto"], indirect=True)
def test_fragments_without_end_cost_little_memory(server: Server, control: Client) -> None:
    with little_memory(server, control, 8_000_000), EagerClient(server.host, "/control") as client:
        client.send_all(fragments(TEXT, 300_000, b""))
        while len(client.texts()) < 2:  # The second answers the message of all the fragments.
            assert not client.is_closed
            report(control)
    report(control, lambda now: now["connections"] == 1)


@pytest.mark.parametrize("server", sorted({*SERVERS} - UNBOUND), indirect=True)
@pytest.mark.parametrize("message", ["x" * 20_000_000, ["x" * 1_000_000] * 20], ids=["one", "many"])
def test_message_that_is_too_large_costs_no_memory(
    server: Server, control: Client, message: str | list[str]
) -> None:
    with little_memory(server, control, 8_000_000), uncompressed(server) as client:
        assert [client.receive()["event"] for _ in range(2)] == ["gateway:welcome", "ready"]
        with suppress(ConnectionClosed):
            client.socket.send(message)
        bye = client.receive()
        assert (bye["event"], bye["data"]["code"]) == ("gateway:bye", 1009)
        client.closed()
    report(control, lambda now: now["closed"][-1] == 1009)


@pytest.mark.parametrize("is_polite", [True, False])
def test_client_that_leaves_while_its_events_wait_for_slots_is_gone(
    server: Server, control: Client, is_polite: bool
) -> None:
    with connected(server, {}, "/control") as client:
        client.receive()
        for _ in range(30):
            client.send("sleep beside", 60)
        assert [client.receive()["event"] for _ in range(2)] == ["good night"] * 2
        if not is_polite:
            client.socket.socket.shutdown(socket.SHUT_RDWR)
        client.socket.close_timeout = 0.1
    report(control, lambda now: now["connections"] == 1)


def test_the_newest_of_many_pings_is_answered(server: Server) -> None:
    with connected(server, {}, "/") as client:
        client.receive()
        answers = [client.socket.ping(str(number)) for number in range(1000)]
        assert answers[-1].wait(10)


def test_a_client_that_reads_late_is_heard_and_served(server: Server, control: Client) -> None:
    with StalledClient(server.host) as stalled:
        report(control, lambda now: now["members"] == 1)
        control.send("burst", 200)
        assert control.receive()["event"] == "done"
        stalled.flood(PING, PADDING, 1000)
        stalled.send(TEXT, b'{"event":"goodbye"}')
        texts, code = stalled.read_frames()
        assert len(texts) == 201
        assert code == 4002
