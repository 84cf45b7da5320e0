"""Bursts of group messages, to consumers that know nothing of this package."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.integration.bursts import QUIET, ask, see_burst
from tests.servers import ROOT, Server

OURS = "arcly_channels.layers.LocalChannelLayer"
STOCK = "channels.layers.InMemoryChannelLayer"
APPLICATION = "tests.integration.burst_project:application"
SERVERS = {
    "daphne": ("-m", "daphne", "--port", "{port}", APPLICATION),
    "uvicorn": ("-m", "uvicorn", "--port", "{port}", APPLICATION),
}
BURST, SOCKETS = 300, 5
DEADLINE = 60.0


def server_with(backend: str, directory: Path, name: str = "daphne") -> Server:
    environment = {
        "TEST_BACKEND": backend,
        "TEST_DATABASE": str(directory / "burst.sqlite3"),
        "PYTHONPATH": str(ROOT),
    }
    return Server(*SERVERS[name], directory=directory, environment=environment)


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The addresses of a server with our layer, and of one with Channels' own."""
    with ExitStack() as servers:
        yield tuple(  # type: ignore[misc]  # Of two.
            servers.enter_context(server_with(each, tmp_path_factory.mktemp("server"))).host
            for each in (OURS, STOCK)
        )


@pytest.mark.parametrize("consumer", ["Sync", "Async", "Database"])
@pytest.mark.parametrize("view", ["sync", "bulk", "async", "async_bulk"])
def test_burst_closes_no_socket_and_loses_no_more_than_with_channels_own_layer(
    hosts: tuple[str, str], view: str, consumer: str
) -> None:
    ours, stock = (
        asyncio.run(see_burst(host, consumer, view, count=BURST, sockets=SOCKETS, quiet=quiet))
        for host, quiet in zip(hosts, (DEADLINE, QUIET), strict=True)
    )
    assert (ours.open, stock.open) == (SOCKETS, SOCKETS)
    assert ours.fewest >= stock.fewest
    assert ours.fewest == BURST


@pytest.mark.parametrize("name", SERVERS)
def test_socket_of_an_evicted_consumer_is_closed_after_its_backlog(
    name: str, tmp_path: Path
) -> None:
    with (
        server_with(OURS, tmp_path, name) as server,
        connect(f"ws://{server.host}/Stuck") as client,
    ):
        ask(server.host, "async/150")
        deadline = time.monotonic() + DEADLINE
        while not ask(server.host, "report")["evictions"]:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        ask(server.host, "release")
        assert [int(client.recv(DEADLINE)) for _ in range(150)] == list(range(150))
        with pytest.raises(ConnectionClosed):
            client.recv(DEADLINE)
