"""Who takes nothing of what waits for it is evicted in time, though its outbox is never full."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from tests.clients import Client, connected
from tests.integration.stalled import EagerClient, StalledClient
from tests.integration.test_outbound import SERVERS, report
from tests.servers import Server

SOON = {"TEST_ARCLY_CHANNELS": '{"STALL_TIMEOUT": 3}'}
"""Seconds; where other tests run beside it, a server may look at its clients a second late."""
LITTLE = 100
"""Frames of 1 KB: the kernel takes them all, and the client's window is full."""


class SlowClient(EagerClient):
    """Reads 20 KB/s."""

    receive_buffer = StalledClient.receive_buffer

    def _read(self) -> None:
        with suppress(OSError):
            while self._socket.recv(2000):
                time.sleep(0.1)


@pytest.fixture(params=SERVERS, scope="module")
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("server")
    with Server(*SERVERS[request.param], directory=directory, environment=SOON) as server:
        yield server


@pytest.fixture
def control(server: Server) -> Iterator[Client]:
    """A client that asks and is in no room; before and after it, the server has no other."""
    with connected(server, {}, "/control") as client:
        client.receive()
        report(client, lambda now: now["connections"] == 1)
        yield client
        report(client, lambda now: now["connections"] == 1)


def evicted_since(control: Client, before: dict[str, Any]) -> tuple[list[int], int]:
    """Return the codes of those who were closed since, and the number of evictions."""
    now = report(control, lambda now: len(now["closed"]) > len(before["closed"]))
    return now["closed"][len(before["closed"]) :], now["evictions"] - before["evictions"]


def test_client_that_takes_nothing_is_evicted_and_one_that_is_sent_nothing_stays(
    server: Server, control: Client
) -> None:
    before = report(control)
    with StalledClient(server.host), StalledClient(server.host, "/control"):
        report(control, lambda now: now["connections"] == 3 and now["members"] == 1)
        control.send("burst", LITTLE)
        assert control.receive()["event"] == "done"
        assert evicted_since(control, before) == ([4008], 1)
        assert report(control)["connections"] == 2


def test_client_that_takes_nothing_is_evicted_while_small_frames_go_on_coming(
    server: Server, control: Client
) -> None:
    before = report(control)
    with connected(server, {}, "/control") as sender, StalledClient(server.host):
        sender.receive()
        report(control, lambda now: now["members"] == 1)
        sender.send("trickle", {"count": 200, "every": 0.02})  # An outbox holds more than 200.
        assert evicted_since(control, before) == ([4008], 1)
        assert sender.receive()["event"] == "done"


def test_slow_client_that_goes_on_reading_stays(server: Server, control: Client) -> None:
    before = report(control)
    with SlowClient(server.host) as slow:
        report(control, lambda now: now["members"] == 1)
        control.send("burst", LITTLE)
        control.send("trickle", {"count": 100, "every": 0.05})  # As fast as it reads.
        assert [control.receive()["event"] for _ in range(2)] == ["done", "done"]
        assert report(control)["evictions"] == before["evictions"]
        assert not slow.is_closed
