"""Who takes nothing of what waits for it is evicted in time, though its outbox is never full."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients import connected
from tests.integration.stalled import StalledClient
from tests.integration.test_outbound import SERVERS, report
from tests.servers import Server

SOON = {"TEST_ARCLY_CHANNELS": '{"STALL_TIMEOUT": 1}'}
LITTLE = 100
"""Frames of 1 KB: the kernel takes them all, and the client's window is full."""


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
