"""Who takes nothing of what waits for it is evicted in time, though its outbox is never full."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.clients import connected
from tests.integration.stalled import EagerClient, StalledClient
from tests.integration.test_outbound import SERVERS, report
from tests.servers import Server

pytestmark = pytest.mark.alone

SOON = {"TEST_ARCLY_CHANNELS": '{"STALL_TIMEOUT": 1}'}
LITTLE = 100
"""Frames of 1 KB: the kernel takes them all, and the client's window is full."""


class SlowClient(EagerClient):
    """Reads 20 KB/s."""

    receive_buffer = StalledClient.receive_buffer

    def _read(self) -> None:
        with suppress(OSError):
            while self._socket.recv(2000):
                time.sleep(0.1)


@pytest.mark.parametrize("name", SERVERS)
def test_client_that_takes_nothing_is_evicted_and_one_that_is_sent_nothing_stays(
    name: str, tmp_path: Path
) -> None:
    with (
        Server(*SERVERS[name], directory=tmp_path, environment=SOON) as server,
        connected(server, {}, "/control") as control,
        StalledClient(server.host),
        StalledClient(server.host, "/control"),
    ):
        control.receive()
        report(control, lambda now: now["connections"] == 3 and now["members"] == 1)
        control.send("burst", LITTLE)
        assert control.receive()["event"] == "done"
        now = report(control, lambda now: now["closed"])
        assert (now["closed"], now["evictions"]) == ([4008], 1)
        assert now["connections"] == 2


@pytest.mark.parametrize("name", SERVERS)
def test_client_that_takes_nothing_is_evicted_while_small_frames_go_on_coming(
    name: str, tmp_path: Path
) -> None:
    with (
        Server(*SERVERS[name], directory=tmp_path, environment=SOON) as server,
        connected(server, {}, "/control") as sender,
        connected(server, {}, "/control") as control,
        StalledClient(server.host),
    ):
        sender.receive(), control.receive()
        report(control, lambda now: now["members"] == 1)
        sender.send("trickle", {"count": 1000, "every": 0.1})
        now = report(control, lambda now: now["closed"])
        assert (now["closed"], now["evictions"]) == ([4008], 1)


@pytest.mark.parametrize("name", SERVERS)
def test_slow_client_that_goes_on_reading_stays(name: str, tmp_path: Path) -> None:
    with (
        Server(*SERVERS[name], directory=tmp_path, environment=SOON) as server,
        connected(server, {}, "/control") as control,
        SlowClient(server.host) as slow,
    ):
        control.receive()
        report(control, lambda now: now["members"] == 1)
        control.send("burst", LITTLE)
        control.send("trickle", {"count": 60, "every": 0.05})  # As fast as it reads.
        assert [control.receive()["event"] for _ in range(2)] == ["done", "done"]
        assert report(control)["evictions"] == 0
        assert not slow.is_closed
