"""The README: its quickstart runs."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from websockets.exceptions import InvalidStatus

from tests.clients import DEADLINE, Client, connected
from tests.documents import README, blocks, build_project, section
from tests.servers import Server


def test_quickstart_serves_a_chat(tmp_path: Path) -> None:
    quickstart = section(README, "Quickstart")
    project = build_project(quickstart, tmp_path)
    add_view(project, next(code for code in blocks(quickstart, "python") if "# in a view" in code))
    arguments = ("-m", "daphne", "--port", "{port}", "mysite.asgi:application")
    environment = {"DJANGO_SETTINGS_MODULE": "mysite.settings"}
    with (
        Server(*arguments, directory=tmp_path, environment=environment, cwd=project) as server,
        connected(server) as ada,
        connected(server) as bob,
    ):
        join_and_say(ada, "I am Ada")
        join_and_say(bob, "I am Bob")
        assert ada.receive() == message("I am Bob")
        for event, data in (("room.join", "attic"), ("room.join", []), ("message.send", 7)):
            ada.send(event, data)
            assert ada.receive()["event"] == "error"
        with pytest.raises(InvalidStatus, match="403"), connected(server, path="/ws/"):
            pass
        urlopen(f"{server.url}/kettle", timeout=DEADLINE).close()
        assert ada.receive() == bob.receive() == message("The kettle is on")
        assert "Traceback" not in server.log.read_text()


def add_view(project: Path, code: str) -> None:
    """Make the code a view of the project, at /kettle."""
    view = "def kettle(request):\n" + textwrap.indent(code, "    ")
    (project / "mysite" / "urls.py").write_text(
        "from django.http import HttpResponse\nfrom django.urls import path\n\n"
        f'{view}    return HttpResponse("told")\n\nurlpatterns = [path("kettle", kettle)]\n'
    )


def join_and_say(client: Client, text: str) -> None:
    """Join the room, write to it, and return once that came back."""
    client.send("room.join", "tea")
    client.send("message.send", text)
    assert client.receive() == message(text)


def message(text: str) -> dict[str, Any]:
    return {"event": "message.receive", "data": {"room": "tea", "text": text}}
