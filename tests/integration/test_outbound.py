"""The way out on real servers: bounded, in order, and nobody pays for somebody else's slowness."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from tests.clients import Client, connected
from tests.integration.stalled import EagerClient, StalledClient
from tests.servers import Server

pytestmark = pytest.mark.alone

PADDING = "x" * 1000
PROJECT = "tests.integration.outbound_project"
SERVERS = {
    "daphne": ("-m", "daphne", "--port", "{port}", f"{PROJECT}:application"),
    "uvicorn": ("-m", "uvicorn", "--port", "{port}", f"{PROJECT}:application"),
    "uvicorn wsproto": (
        *("-m", "uvicorn", "--port", "{port}", "--ws", "wsproto", "--loop", "asyncio"),
        f"{PROJECT}:application",
    ),
    "uvicorn legacy": (
        *("-W", "ignore", "-m", "uvicorn", "--port", "{port}", "--ws", "websockets"),
        f"{PROJECT}:application",
    ),
    "hypercorn": ("-m", "hypercorn", "--bind", "127.0.0.1:{port}", f"{PROJECT}:application"),
    "granian": (
        "-m",
        "granian",
        "--interface",
        "asgi",
        "--port",
        "{port}",
        f"{PROJECT}:application",
    ),
}
TRANSPORTS = {
    "daphne": "DaphneTransport",
    "uvicorn": "UvicornTransport",
    "uvicorn wsproto": "UvicornTransport",
    "uvicorn legacy": "AsgiTransport",
    "hypercorn": "AsgiTransport",
    "granian": "AsgiTransport",
}
BURST = 10_000
DEADLINE = 20.0


@pytest.fixture(params=SERVERS, scope="module")
def name(request: pytest.FixtureRequest) -> str:
    """The server that a test runs on."""
    chosen: str = request.param
    return chosen


@pytest.fixture(scope="module")
def server(name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(*SERVERS[name], directory=tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def control(server: Server) -> Iterator[Client]:
    with connected(server, {}, "/control") as client:
        client.receive()
        yield client


def report(control: Client, fact: Callable[[dict[str, Any]], bool] = lambda _: True) -> Any:
    """Return the server's report as soon as `fact` holds of it."""
    deadline = time.monotonic() + DEADLINE
    while True:
        control.send("report")
        found = control.receive()["data"]
        if fact(found):
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.01)  # Nobody may ask without end.


def ticks(client: Client, count: int) -> list[int]:
    """Return the numbers of the next `count` events."""
    return [client.receive()["data"]["n"] for _ in range(count)]


def gets_ticks(reader: EagerClient, count: int) -> bool:
    """Return whether a client gets the first `count` ticks, all of them and in their order."""
    deadline, texts = time.monotonic() + DEADLINE, list[str]()
    while len(texts) < 1 + count and not reader.is_closed:
        assert time.monotonic() < deadline, reader.received_bytes
        time.sleep(0.05)
        if reader.received_bytes > count * len(PADDING):
            texts = reader.texts()
    numbers = [json.loads(text)["data"]["n"] for text in reader.texts()[1 : count + 1]]
    assert numbers == list(range(len(numbers)))
    return len(numbers) == count


def test_the_fastest_transport_is_found_behind_the_usual_middleware(
    name: str, server: Server
) -> None:
    with connected(server, {}, "/") as client:
        assert client.receive() == {"event": "ready", "data": TRANSPORTS[name]}


def test_what_a_client_has_not_taken_is_seen_in_the_kernel(server: Server, control: Client) -> None:
    assert report(control)["unread"] < 10_000
    with StalledClient(server.host):
        control.send("burst", 200)
        assert control.receive()["event"] == "done"
        report(control, lambda now: now["unread"] > 10_000)
    report(control, lambda now: now["unread"] < 10_000)


@pytest.mark.parametrize("sender", ["burst", "thread"])
def test_a_burst_evicts_who_stalls_and_nobody_who_reads(
    server: Server, control: Client, sender: str
) -> None:
    # A machine that is busy with other things may not let anybody read in time: three tries.
    assert any(survives_burst(server, control, sender) for _ in range(3))


def survives_burst(server: Server, control: Client, sender: str) -> bool:
    """Return whether a client that reads gets a burst, and one that stalls is evicted by it."""
    before = report(control)
    with EagerClient(server.host) as reader, StalledClient(server.host) as stalled:
        report(control, lambda now: now["members"] == 2)
        control.send(sender, BURST)
        assert control.receive()["event"] == "done"
        has_all = gets_ticks(reader, BURST)
        stalled.read_frames()
        after = report(control, lambda now: len(now["closed"]) > len(before["closed"]))
        if has_all:
            assert after["evictions"] == before["evictions"] + 1
            assert after["closed"] == [*before["closed"], 4008]
            assert after["members"] == 1
    report(control, lambda now: now["connections"] == 1)
    return has_all


def test_emits_broadcasts_and_the_close_keep_their_order(server: Server) -> None:
    with connected(server, {}, "/control") as client:
        client.receive()
        client.send("mixed", 1000)
        assert ticks(client, 1000) == list(range(1000))
        with pytest.raises(ConnectionClosed) as ending:
            client.receive()
        assert ending.value.rcvd is not None
        assert ending.value.rcvd.code == 4000


def test_gateway_that_ends_right_after_its_close_has_closed(server: Server) -> None:
    with connected(server, {}, "/control") as client:
        client.receive()
        client.send("end")
        with pytest.raises(ConnectionClosed) as ending:
            list(iter(client.receive, None))
        assert ending.value.rcvd is not None
        assert ending.value.rcvd.code == 4001


def test_a_client_that_falls_behind_and_catches_up_is_kept(server: Server, control: Client) -> None:
    before = report(control)
    with connected(server, {}, "/") as client:
        client.receive()
        control.send("trickle", {"count": 400, "every": 0.001})
        for number in range(400):
            assert client.receive()["data"]["n"] == number
            if number < 100:
                time.sleep(0.002)  # Half the rate of the sender.
        control.receive()
        assert report(control)["evictions"] == before["evictions"]


@pytest.mark.parametrize("name", ["daphne", "uvicorn", "hypercorn"], indirect=True)
def test_an_evicted_client_that_reads_in_time_gets_its_backlog_and_4008(
    name: str, tmp_path: Path
) -> None:
    patient = {"TEST_ARCLY_CHANNELS": '{"EVICTION_GRACE": 60}'}
    with (
        Server(*SERVERS[name], directory=tmp_path, environment=patient) as server,
        connected(server, {}, "/control") as control,
        StalledClient(server.host) as stalled,
    ):
        control.receive()
        control.send("burst", BURST)
        assert control.receive()["event"] == "done"
        assert report(control)["evictions"] == 1
        texts, code = stalled.read_frames()
        assert code == 4008
        numbers = [json.loads(text)["data"]["n"] for text in texts[1:]]
        assert numbers == list(range(len(numbers)))
        assert len(numbers) < BURST
        assert report(control, lambda now: now["closed"])["closed"] == [4008]


def test_every_socket_closes_with_the_code_of_close_all(server: Server) -> None:
    with connected(server, {}, "/") as one, connected(server, {}, "/") as other:
        one.receive(), other.receive()
        one.send("close_all", 1012)
        for client in (one, other):
            with pytest.raises(ConnectionClosed) as ending:
                client.receive()
            assert ending.value.rcvd is not None
            assert ending.value.rcvd.code == 1012
