"""No frame of one client holds up another, nor do many: each is answered, by every server."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.clients import DEADLINE, Client, connected
from tests.frames import FRAMES
from tests.integration.stalled import EagerClient, fragments
from tests.integration.test_outbound import PROJECT, report
from tests.servers import Server

pytestmark = pytest.mark.alone

UVICORN = ("-m", "uvicorn", "--port", "{port}", "--lifespan", "off", f"{PROJECT}:application")
SERVERS = {
    "daphne": ("-m", "daphne", "--port", "{port}", f"{PROJECT}:application"),
    "uvicorn": UVICORN,
}
HYPERCORN = ("-m", "hypercorn", "--bind", "127.0.0.1:{port}", f"{PROJECT}:application")
FLOODED = {
    "daphne": SERVERS["daphne"],
    "uvicorn on uvloop": (*UVICORN, "--loop", "uvloop"),
    "uvicorn on asyncio": (*UVICORN, "--loop", "asyncio"),
    "uvicorn's wsproto": (*UVICORN, "--ws", "wsproto"),
}
MANY = 200_000


@pytest.fixture(params=FLOODED)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    with Server(*FLOODED[request.param], directory=tmp_path) as server:
        yield server


def trips_until(neighbour: Client, attacker: EagerClient, answer: bytes) -> int:
    """Return how often a neighbour is served until the attacker has its answer."""
    trips = 0
    while not attacker.has(answer):
        assert not attacker.is_closed
        neighbour.sync()
        trips += 1
    return trips


@contextmanager
def sending(attacker: EagerClient) -> Iterator[None]:
    """Have the attacker send one message in very many fragments meanwhile."""
    thread = threading.Thread(target=attacker.send_all, args=[fragments(1, MANY)])
    thread.start()
    yield
    thread.join()


@pytest.mark.parametrize("arguments", SERVERS.values(), ids=SERVERS)
def test_costly_frame_is_refused_while_its_neighbour_is_served(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    with (
        Server(*arguments, directory=tmp_path) as server,
        connected(server, path="/control") as attacker,
        connected(server, path="/control") as neighbour,
    ):
        for client in (attacker, neighbour):
            assert client.receive()["event"] == "ready"
        for text in FRAMES.values():
            attacker.socket.send(text)
            neighbour.sync()
            answer = attacker.socket.recv(DEADLINE)
            assert len(answer) < 1000
            assert '"error"' in answer
    assert "Traceback" not in server.log.read_text()


# Each of 170 turns serves the neighbour once; without turns it was once in each of 2 to 6 reads.


def test_neighbour_is_served_while_fragments_are_parsed(server: Server) -> None:
    with (
        connected(server, path="/control") as neighbour,
        EagerClient(server.host, "/control") as attacker,
    ):
        assert neighbour.receive()["event"] == "ready"
        with sending(attacker):
            assert trips_until(neighbour, attacker, b'"error"') > 30


def test_neighbour_is_served_while_what_came_before_the_handshake_ended_is_parsed(
    server: Server,
) -> None:
    with (
        connected(server, path="/control") as neighbour,
        EagerClient(server.host, "/doubtful", is_patient=False) as attacker,
    ):
        assert neighbour.receive()["event"] == "ready"
        report(neighbour, lambda now: "/doubtful" in now["asked"])
        with sending(attacker):
            trips_until(neighbour, attacker, b" 101 ")
            assert trips_until(neighbour, attacker, b'"error"') > 30


def test_neighbour_is_served_while_hypercorn_parses_fragments(tmp_path: Path) -> None:
    """It reads 64 KiB, of whose parsing nothing waits for anybody: that took a second at a time."""
    with (
        Server(*HYPERCORN, directory=tmp_path) as server,
        connected(server, path="/control") as neighbour,
        EagerClient(server.host, "/control") as attacker,
    ):
        assert neighbour.receive()["event"] == "ready"
        with sending(attacker):
            assert trips_until(neighbour, attacker, b'"error"') > 100
