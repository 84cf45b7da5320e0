"""Pings and messages from a client that reads nothing, which must not cost the server memory.

granian answers pings itself, into a buffer without bound that nothing in Python reaches.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.clients import Client, connected
from tests.integration.stalled import StalledClient
from tests.integration.test_outbound import SERVERS, report
from tests.memory import peak_memory, process_of, reset_peak_memory
from tests.servers import Server

PING, PINGS = 9, 60_000_000


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


@pytest.mark.parametrize("server", sorted({*SERVERS} - {"granian"}), indirect=True)
def test_pings_that_are_not_read_cost_no_memory(server: Server, control: Client) -> None:
    pid = process_of(server.pid)
    reset_peak_memory(pid)
    before = peak_memory(pid)
    with StalledClient(server.host) as stalled:
        stalled.flood(PING, PINGS)
        report(control)
        assert peak_memory(pid) - before < 8_000_000
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
        stalled.flood(PING, 100_000)
        stalled.send(1, b'{"event":"goodbye"}')
        texts, code = stalled.read_frames()
        assert len(texts) == 201
        assert code == 4002
