"""Clients that their server has given up, but that never hang up: they do not stay registered."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients import connected
from tests.integration.stalled import StalledClient
from tests.integration.test_outbound import SERVERS, report
from tests.servers import Server

CLOSE = 8
WIDE = {
    "TEST_ARCLY_CHANNELS": '{"OUTBOUND_BUFFER": 100000, "OUTBOUND_BUFFER_BYTES": 100000000,'
    ' "STALL_TIMEOUT": 0}'
}
"""No client is evicted for being slow."""

IMPATIENT = ("--ws-ping-interval", "0.5", "--ws-ping-timeout", "0.5")
CASES = {
    **SERVERS,
    "uvicorn's keepalive": (*SERVERS["uvicorn"], *IMPATIENT),
    "uvicorn wsproto's keepalive": (*SERVERS["uvicorn wsproto"], *IMPATIENT),
}


@pytest.mark.parametrize("case", CASES)
def test_client_that_says_goodbye_and_reads_nothing_is_let_go(case: str, tmp_path: Path) -> None:
    with (
        Server(*CASES[case], directory=tmp_path, environment=WIDE) as server,
        connected(server, {}, "/control") as control,
        StalledClient(server.host) as stalled,
    ):
        control.receive()
        report(control, lambda now: now["members"] == 1)
        control.send("burst", 5000)  # More than its kernel and ours keep for it.
        assert control.receive()["event"] == "done"
        if "keepalive" not in case:
            stalled.send(CLOSE, b"\x03\xe8")

        def is_gone(now: dict[str, object]) -> bool:
            control.send("trickle", {"count": 1, "every": 0})
            assert control.receive()["event"] == "done"
            return now["connections"] == 1 and bool(now["closed"])

        report(control, is_gone)
