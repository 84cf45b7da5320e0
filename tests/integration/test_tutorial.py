"""The tutorial: what it builds runs, and so does the test that it ends with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.clients import DEADLINE, connected
from tests.documents import DOCS, build_project
from tests.servers import Server, run

ENVIRONMENT = {"DJANGO_SETTINGS_MODULE": "mysite.settings"}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    return build_project(text, tmp_path_factory.mktemp("tutorial"))


@pytest.fixture
def server(project: Path) -> Iterator[Server]:
    run("manage.py", "migrate", environment=ENVIRONMENT, cwd=project)
    arguments = ("manage.py", "runserver", "--noreload", "{port}")
    with Server(*arguments, directory=project, environment=ENVIRONMENT, cwd=project) as server:
        yield server


def test_project_has_no_problems(project: Path) -> None:
    run("manage.py", "check", "--fail-level", "WARNING", environment=ENVIRONMENT, cwd=project)


def test_project_passes_its_own_test(project: Path) -> None:
    run("manage.py", "test", environment=ENVIRONMENT, cwd=project)


def test_chat_does_what_the_tutorial_says(server: Server) -> None:
    assert "<h1>Chat</h1>" in read(f"{server.url}/")
    with connected(server) as ada:
        ada_says = ada.receive()["data"]["from"]
        with connected(server) as bob:
            assert ada.receive()["data"]["text"] == bob.receive()["data"]["text"] == "came in"
            ada.send("message.send", "Hello")
            assert bob.receive()["data"] == {"from": ada_says, "text": "Hello"}
            assert ada.receive()["data"]["text"] == "Hello"
            read(f"{server.url}/kettle/")
            assert ada.receive()["data"] == {"from": "The kettle", "text": "I am boiling!"}
        assert ada.receive()["data"]["text"] == "left"
        ada.send("message.send", "")
        assert ada.receive()["data"]["code"] == "invalid_text"
        ada.socket.send("nonsense")
        assert ada.receive()["data"]["code"] == "malformed"
        ada.send("kettle.steal", ref=1)
        assert ada.receive()["ref"] == 1


def read(url: str) -> str:
    with urlopen(url, timeout=DEADLINE) as response:
        text: str = response.read().decode()
    return text
