"""Event streams on real servers: bounded, in order, told why they end, and nothing left behind."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.clients import Client, connected
from tests.integration.listening import DEADLINE, Listener
from tests.integration.test_outbound import report
from tests.memory import peak_memory, process_of, reset_peak_memory
from tests.servers import Server

pytestmark = pytest.mark.alone

PROJECT = "tests.integration.sse_project"
STALLED, FRAMES = 5, 600


def command(name: str, application: str = "application") -> tuple[str, ...]:
    """Return how a server is started."""
    target = f"{PROJECT}:{application}"
    return {
        "daphne": ("-m", "daphne", "--port", "{port}", target),
        "uvicorn": ("-m", "uvicorn", "--port", "{port}", target),
        "hypercorn": ("-m", "hypercorn", "--bind", "127.0.0.1:{port}", target),
        "granian": ("-m", "granian", "--interface", "asgi", "--port", "{port}", target),
    }[name]


@pytest.fixture(params=["daphne", "uvicorn", "hypercorn", "granian"], scope="module")
def name(request: pytest.FixtureRequest) -> str:
    """The server that a test runs on."""
    chosen: str = request.param
    return chosen


@pytest.fixture(scope="module")
def server(name: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("server")
    limits = {"RATE_LIMIT": {"EVENTS": 1e6, "BYTES": 1e6, "ERRORS": 10**6}}
    environment = {"WITHOUT_GC": "1", "TEST_ARCLY_CHANNELS": json.dumps(limits)}
    with Server(*command(name), directory=directory, environment=environment) as server:
        yield server


@pytest.fixture
def control(server: Server) -> Iterator[Client]:
    with connected(server, {}, "/control") as client:
        client.receive()
        yield client


def alone(control: Client) -> dict[str, Any]:
    """Return the server's report once no stream is left, of a test before this one."""
    found: dict[str, Any] = report(control, lambda now: now["connections"] == 1)
    return found


Fact = Callable[[dict[str, Any]], bool]


def ended(before: dict[str, Any], *codes: int) -> Fact:
    """Return whether streams have ended since, with these codes."""
    return lambda now: sorted(now["closed"][len(before["closed"]) :]) == sorted(codes)


def test_a_stream_is_welcomed_joined_and_greeted(name: str, server: Server) -> None:
    with Listener(server.host).open() as listener:
        welcome, joined, ready = listener.first(3)
        assert (welcome["event"], welcome["data"]["pong"]) == ("gateway:welcome", False)
        assert joined == {"event": "gateway:joined", "data": {"room": "all"}}
        kind = "DaphneEventTransport" if name == "daphne" else "AsgiEventTransport"
        assert ready == {"event": "ready", "data": kind}
        assert listener.headers["content-type"] == "text/event-stream"
        assert listener.headers["cache-control"] == "no-store"
        assert listener.headers["x-accel-buffering"] == "no"


def test_a_room_is_heard_in_order(server: Server, control: Client) -> None:
    with Listener(server.host).open() as listener:
        listener.until("ready")
        control.send("trickle", {"count": 100, "every": 0})
        ticks = (frame for frame in listener.frames() if frame["event"] == "tick")
        heard = [next(ticks) for _ in range(100)]
        assert [tick["data"]["n"] for tick in heard] == list(range(100))
        assert heard[0]["room"] == "all"


def test_rooms_of_a_url_are_asked_for_one_by_one(server: Server) -> None:
    with Listener(server.host, "/alone?room=tea&x=1&room=staff&room=").open() as listener:
        answers = listener.first(4)[1:]
        found = [(each["event"], each["ref"]) for each in answers]
        assert found == [("gateway:joined", 1), ("error", 2), ("error", 3)]
        assert answers[1]["data"]["code"] == "forbidden"
        assert answers[2]["data"]["code"] == "invalid_room"


def test_that_a_client_leaves_is_seen_at_once(server: Server, control: Client) -> None:
    before = alone(control)
    with Listener(server.host).open() as listener:
        listener.until("ready")
    now = report(control, ended(before, 1005))
    assert now["reasons"][-1] == "client"
    assert alone(control)["places"] == 1


def test_nothing_is_left_of_a_stream_that_ended(server: Server, control: Client) -> None:
    report(control, lambda now: now["transports"] == 1)
    before = alone(control)
    for _ in range(3):
        with Listener(server.host).open() as listener:
            listener.until("ready")
    report(control, ended(before, 1005, 1005, 1005))
    report(control, lambda now: now["transports"] == 1)  # Without a collection of garbage.


def test_who_reads_nothing_is_evicted_at_little_cost_and_who_reads_gets_all(
    name: str, server: Server, control: Client
) -> None:
    before = alone(control)
    process = process_of(server.pid)
    with ExitStack() as clients:
        stalled = [
            clients.enter_context(Listener(server.host, receive_buffer=8192).open())
            for _ in range(STALLED)
        ]
        reader = clients.enter_context(Listener(server.host).open())
        for each in (*stalled, reader):
            each.until("ready")
        reset_peak_memory(process)
        memory = peak_memory(process)
        control.send("frames", {"frames": FRAMES, "size": 32_000, "in_thread": False})
        ticks = reader.first(3 + FRAMES)[3:]
        assert {frame["event"] for frame in ticks} == {"tick"}
        assert control.receive()["event"] == "done"
        now = report(control, ended(before, *[4008] * STALLED))
        assert now["evictions"] == before["evictions"] + STALLED
        bound = 16_000_000 if name == "granian" else 8_000_000  # Of 100 MB that were not read.
        assert peak_memory(process) - memory < bound
    alone(control)


def test_a_stream_that_is_closed_ends_with_a_bye(server: Server, control: Client) -> None:
    with Listener(server.host).open() as listener:
        listener.until("ready")
        control.send("close_streams", 4008)
        bye = list(listener.frames())[-1]
        assert (bye["event"], bye["data"]["code"]) == ("gateway:bye", 4008)
        lines = listener.read_all().split("\n")
        retry = [line for line in lines if line.startswith("retry: ")]
        assert 1000 <= int(retry[-1][7:]) <= 5000
        assert listener.has_ended()


def test_who_is_not_to_come_back_is_given_an_id_that_says_so(
    server: Server, control: Client
) -> None:
    with Listener(server.host).open() as listener:
        listener.until("ready")
        control.send("close_streams", 4403)
        assert '\n\nid: bye\ndata: {"event":"gateway:bye"' in listener.read_all()
    with Listener(server.host, last_event_id="bye") as again:
        assert (again.read_all(), again.status) == ("", 204)


@pytest.mark.parametrize("method", ["POST", "HEAD", "DELETE"])
def test_only_get_is_allowed(server: Server, method: str) -> None:
    with Listener(server.host, method=method, content_length="0") as listener:
        listener.read()
        assert (listener.status, listener.headers["allow"]) == (405, "GET")


def test_a_client_of_http_1_0_has_a_stream(server: Server) -> None:
    with Listener(server.host, version="1.0").open() as listener:
        assert listener.until("ready")
        assert "transfer-encoding" not in listener.headers


def test_what_comes_behind_the_request_is_never_answered(server: Server, control: Client) -> None:
    before = alone(control)
    with Listener(server.host).open() as listener:
        listener.until("ready")
        listener.send(b"GET /alone HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        control.send("close_streams", 4403)  # If the server has not closed it for that.
        assert listener.read_all().count("gateway:welcome") == 1
        assert listener.has_ended()
    assert len(alone(control)["closed"]) == len(before["closed"]) + 1


def test_a_client_that_says_no_more_is_gone(server: Server, control: Client) -> None:
    before = alone(control)
    with Listener(server.host).open() as listener:
        listener.until("ready")
        listener.half_close()
        report(control, ended(before, 1005))


def test_nothing_is_warned_of_when_a_client_leaves_before_it_is_let_in(
    server: Server, control: Client
) -> None:
    before = alone(control)
    with Listener(server.host, "/doubtful"):
        report(control, lambda now: now["places"] > 1)
    report(control, ended(before, 1005))
    assert "GatewayApplication" not in server.log.read_text()


def test_a_body_without_end_is_bounded(name: str, server: Server, control: Client) -> None:
    if name == "daphne":
        pytest.skip("Daphne reads the whole body before there is an application")
    before = alone(control)
    with Listener(server.host, transfer_encoding="chunked", body=b"1\r\nx\r\n").open() as listener:
        listener.until("ready")
        chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        deadline = time.monotonic() + DEADLINE
        while not ended(before, 4429)(report(control)):
            assert time.monotonic() < deadline
            listener.send(chunk * 8)


@pytest.mark.parametrize("application", ["hidden", "found_again"])
def test_middleware_that_hides_send_is_seen_through_with_the_application_of_ours(
    application: str, tmp_path: Path
) -> None:
    with (
        Server(*command("daphne", application), directory=tmp_path) as server,
        Listener(server.host).open() as listener,
    ):
        kind = listener.until("ready")["data"]
        is_found = application == "found_again"
        assert kind == ("DaphneEventTransport" if is_found else "AsgiEventTransport")
        assert is_found != ("GatewayApplication" in server.log.read_text())


@pytest.mark.parametrize("kind", ["daphne", "uvicorn"])
def test_a_stream_that_says_nothing_is_alive_as_long_as_its_system_takes_pings(
    kind: str, tmp_path: Path
) -> None:
    limits = {"PING_INTERVAL": 0.3, "IDLE_TIMEOUT": 0.6}
    environment = {"TEST_ARCLY_CHANNELS": json.dumps(limits)}
    with (
        Server(*command(kind), directory=tmp_path, environment=environment) as server,
        Listener(server.host).open() as listener,
    ):
        while listener.body.count(b"gateway:ping") < 5:
            listener.read()
            assert not listener.is_over
        assert "closed with" not in server.log.read_text()
