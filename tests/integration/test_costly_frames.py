"""No frame of one client holds up another: each is answered, in short, by every server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients import DEADLINE, connected
from tests.frames import FRAMES
from tests.integration.test_outbound import PROJECT
from tests.servers import Server

SERVERS = {
    "daphne": ("-m", "daphne", "--port", "{port}", f"{PROJECT}:application"),
    "uvicorn": ("-m", "uvicorn", "--port", "{port}", "--lifespan", "off", f"{PROJECT}:application"),
}


@pytest.mark.parametrize("arguments", SERVERS.values(), ids=SERVERS)
def test_costly_frame_is_refused_while_its_neighbour_is_served(
    arguments: tuple[str, ...], tmp_path: Path
) -> None:
    with (
        Server(*arguments, directory=tmp_path) as server,
        connected(server, path="/control") as attacker,
        connected(server, path="/control") as neighbour,
    ):
        for client in (attacker, neighbour):
            assert client.receive()["event"] == "ready"
        for text in FRAMES.values():
            attacker.socket.send(text)
            neighbour.sync()
            answer = attacker.socket.recv(DEADLINE)
            assert len(answer) < 1000
            assert '"error"' in answer
    assert "Traceback" not in server.log.read_text()
