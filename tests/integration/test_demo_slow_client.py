"""The servers of the slow client: what they say of themselves, and who may put load on them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from tests.clients import DEADLINE, Client, Visitor, connected
from tests.servers import Server, demo_server

PATH = "/ws/slow-client/"
STOCK = ("-m", "daphne", "--port", "{port}", "demo_project.stock.asgi:application")
CLIENTS = 20


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with demo_server(tmp_path_factory.mktemp("demo")) as server:
        yield server


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    environment = {"DJANGO_SETTINGS_MODULE": "demo_project.stock.settings"}
    directory = tmp_path_factory.mktemp("stock")
    with Server(*STOCK, directory=directory, environment=environment) as server:
        yield server


@pytest.fixture(params=["ours", "stock"])
def server(request: pytest.FixtureRequest) -> Server:
    server: Server = request.getfixturevalue(request.param)
    return server


def test_server_tells_its_figures(server: Server) -> None:
    with connected(server, path=PATH) as client:
        told = figures(client)
    assert told["memory"] > 10_000_000
    assert told["isRunning"] is False
    assert set(told) == {"time", "memory", "waiting", "evictions", "deliveries", "isRunning"}


def test_broadcast_reaches_who_is_connected_until_it_is_stopped(server: Server) -> None:
    with connected(server, path=PATH) as client:
        before = figures(client)
        client.send("broadcast")
        tick = client.receive()
        assert tick["event"] == "tick"
        assert len(tick["data"]) == 16384
        during = figures(client)
        assert during["isRunning"] is True
        assert during["deliveries"] > before["deliveries"]
        client.send("stop")
        assert figures(client)["isRunning"] is False


@pytest.mark.parametrize(
    "headers", [{"X-Forwarded-For": "127.0.0.1"}, {"Origin": "http://evil.example"}], ids=str
)
def test_load_is_not_for_who_comes_by_a_proxy_or_another_page(
    server: Server, headers: dict[str, str]
) -> None:
    with (
        pytest.raises(InvalidStatus, match="403"),
        connected(server, {"Origin": server.url, **headers}, path=PATH),
    ):
        pass


def test_stalled_clients_are_opened_once_and_go_when_that_is_over(ours: Server) -> None:
    with connected(ours, path=PATH) as client:
        client.send("stall")
        wait_for_connections(ours, CLIENTS + 1)
        client.send("stall")
        client.send("stop")
        wait_for_connections(ours, 1)
        assert figures(client)["waiting"] == 0


def test_stalled_clients_go_with_the_server_that_has_opened_them(tmp_path: Path) -> None:
    with demo_server(tmp_path) as server:
        with connected(server, path=PATH) as client:
            client.send("stall")
            wait_for_connections(server, CLIENTS + 1)
        (stalled,) = children_of(server.pid)
    deadline = time.monotonic() + DEADLINE
    while Path(f"/proc/{stalled}").exists():
        assert time.monotonic() < deadline, f"process {stalled} has not ended"
        time.sleep(0.05)


@pytest.mark.parametrize("path", ["/", "/slow-client/"])
def test_page_lets_in_its_own_files_only(ours: Server, path: str) -> None:
    opened = Visitor(ours)
    policy = opened.headers_of(path)["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self' 'nonce-")
    assert "unsafe" not in policy
    assert policy != opened.headers_of(path)["Content-Security-Policy"]  # Each nonce is used once.


def figures(client: Client) -> dict[str, Any]:
    """Ask a server for its figures; what it broadcasts meanwhile is left out."""
    client.send("figures")
    while True:
        envelope = client.receive()
        if envelope["event"] == "figures":
            found: dict[str, Any] = envelope["data"]
            return found


def wait_for_connections(server: Server, number: int) -> None:
    deadline = time.monotonic() + DEADLINE
    while f"\nws_connections {number:.1f}\n" not in (metrics := Visitor(server).get("/metrics")):
        found = re.search(r"^ws_connections .+$", metrics, re.MULTILINE)
        assert time.monotonic() < deadline, f"{found}, not {number}"
        time.sleep(0.05)


def children_of(process: int) -> list[int]:
    found = Path(f"/proc/{process}/task/{process}/children").read_text()
    return [int(child) for child in found.split()]
