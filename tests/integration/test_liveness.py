"""A client that gives no sign of life is gone in time, and one that only listens stays."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from arcly_channels.wire.protocol import SUBPROTOCOL
from tests.clients import Client, connected
from tests.integration.stalled import StalledClient
from tests.integration.test_outbound import DEADLINE, SERVERS, report
from tests.islands import Island
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
        if client.receive_any()["event"] == "gateway:ping":
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


# A link that loses everything, without a word to either side

EVERYWHERE = {
    "daphne": ("-b", "0.0.0.0"),
    "uvicorn": ("--host", "0.0.0.0"),
    "hypercorn": ("--bind", "{shore}:{{port}}"),  # Beside 127.0.0.1.
    "granian": ("--host", "0.0.0.0"),
}
CUTS: dict[str, tuple[dict[str, float], int]] = {
    "asked": ({"PING_INTERVAL": 0.25, "IDLE_TIMEOUT": 1, "STALL_TIMEOUT": 0}, 0),
    "asked and sent to": ({"PING_INTERVAL": 0.25, "IDLE_TIMEOUT": 1, "STALL_TIMEOUT": 0}, 60),
    "sent to": ({"PING_INTERVAL": 0, "STALL_TIMEOUT": 1}, 60),
}
"""How a client is found that is cut off: the settings, and how many broadcasts there are for it."""


@pytest.fixture
def island() -> Iterator[Island]:
    with Island() as island:
        yield island


@pytest.mark.parametrize("case", CUTS)
@pytest.mark.parametrize("name", EVERYWHERE)
def test_client_that_is_cut_off_is_gone_and_leaves_nothing(
    name: str, case: str, island: Island, tmp_path: Path
) -> None:
    settings, frames = CUTS[case]
    with (
        ashore(island, name, settings, tmp_path) as server,
        connected(server, {}, "/control") as control,
        connected(server, {}, "/control") as sender,
        island.run(StalledClient, f"{island.shore}:{server.port}", subprotocol=SUBPROTOCOL),
    ):
        control.receive()
        report(control, lambda now: now["members"] == 1)
        island.cut()
        sender.send("trickle", {"count": frames, "every": 0.05})
        now = report(control, lambda now: now["closed"])
        assert (now["closed"], now["reasons"], now["evictions"]) == ([4012], ["idle"], 0)
        report(control, lambda now: now["places"] == now["transports"] == 2)
        see_nothing_of(island)


def ashore(island: Island, name: str, settings: dict[str, float], directory: Path) -> Server:
    """Return a server that can be reached from there, and never collects garbage."""
    *command, application = SERVERS[name]
    options = [each.format(shore=island.shore) for each in EVERYWHERE[name]]
    values = json.dumps({"RATE_LIMIT": 0, **settings})
    environment = {"TEST_ARCLY_CHANNELS": values, "WITHOUT_GC": "1"}
    return Server(*command, *options, application, directory=directory, environment=environment)


def see_nothing_of(island: Island) -> None:
    """Return once the kernel has nothing any more of a connection to there."""
    deadline = time.monotonic() + DEADLINE
    while left := island.sockets():
        assert time.monotonic() < deadline, left
        time.sleep(0.01)
