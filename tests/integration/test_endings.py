"""However a consumer ends, its client gets what was sent, and a close frame with the code."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed

from tests.clients import Client, connected
from tests.integration.test_outbound import SERVERS
from tests.servers import Server


@pytest.fixture(params=["daphne", "uvicorn", "hypercorn", "granian"], scope="module")
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("server")
    with Server(*SERVERS[request.param], directory=directory) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with connected(server, {}, "/control") as client:
        client.receive()
        yield client


tells_cancels_apart = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="Python 3.10 cannot tell whom a CancelledError is for"
)
WAYS = [
    ("stop", ["last"], 1000),
    ("crash", ["last", "really the last"], 1011),
    pytest.param("cancelled", ["last", "really the last"], 1011, marks=tells_cancels_apart),
]


def gather(client: Client, events: list[str]) -> None:
    """Add the events that come to `events`, until the socket is closed, which raises."""
    while True:
        events.append(client.receive()["event"])


@pytest.mark.parametrize(("way", "events", "code"), WAYS)
def test_client_gets_all_and_the_code(
    client: Client, way: str, events: list[str], code: int
) -> None:
    client.send("finish", way)
    received: list[str] = []
    with pytest.raises(ConnectionClosed) as ending:
        gather(client, received)
    assert ending.value.rcvd is not None
    assert (received, ending.value.rcvd.code) == (events, code)
