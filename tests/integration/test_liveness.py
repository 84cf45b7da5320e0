"""A client that gives no sign of life is gone in time, and one that only listens stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from arcly_channels.wire.protocol import SUBPROTOCOL
from tests.clients import Client, connected
from tests.integration.stalled import StalledClient
from tests.integration.test_outbound import SERVERS, report
from tests.servers import Server

SOON = {"TEST_ARCLY_CHANNELS": json.dumps({"PING_INTERVAL": 0.25, "IDLE_TIMEOUT": 1})}
PINGS = 14
"""As many as come in more than three times the timeout."""

HEARS_PONGS = {"daphne"}
"""Where bare clients are asked, too: elsewhere their answers do not show."""


def listen(client: Client, pings: int) -> None:
    """Get so many pings; answer them where they want an answer."""
    welcome = client.receive()["data"]
    while pings:
        if client.receive()["event"] == "gateway:ping":
            pings -= 1
            if welcome["pong"]:
                client.send("gateway:pong")


@pytest.mark.parametrize("name", SERVERS)
def test_client_that_is_stopped_is_gone_and_one_that_listens_stays(
    name: str, tmp_path: Path
) -> None:
    with (
        Server(*SERVERS[name], directory=tmp_path, environment=SOON) as server,
        connected(server, {}, "/control", subprotocol=SUBPROTOCOL) as listener,
        StalledClient(server.host, subprotocol=SUBPROTOCOL),
        StalledClient(server.host),
    ):
        listen(listener, PINGS)
        with connected(server, {}, "/control") as control:
            control.receive()
            gone = 2 if name in HEARS_PONGS else 1
            now = report(control, lambda now: len(now["closed"]) >= gone)
        assert now["closed"] == [4012] * gone
        assert now["connections"] == 2 + 2 - gone


@pytest.mark.parametrize("name", sorted(HEARS_PONGS))
def test_bare_client_that_listens_stays(name: str, tmp_path: Path) -> None:
    with (
        Server(*SERVERS[name], directory=tmp_path, environment=SOON) as server,
        connected(server, {}, "/control") as bare,
        connected(server, {}, "/control", subprotocol=SUBPROTOCOL) as clock,
    ):
        bare.receive()
        listen(clock, PINGS)
        assert report(bare)["closed"] == []


@pytest.mark.parametrize("name", SERVERS)
def test_busy_handler_costs_nobody_the_connection(name: str, tmp_path: Path) -> None:
    with (
        Server(*SERVERS[name], directory=tmp_path, environment=SOON) as server,
        connected(server, {}, "/control", subprotocol=SUBPROTOCOL) as client,
    ):
        client.send("sleep", 2.5, ref=1)
        while (frame := client.receive()).get("ref") != 1:
            assert frame["event"] != "gateway:bye"
