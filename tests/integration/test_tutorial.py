"""The tutorial: what it builds runs, and so does the test that it ends with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.clients import DEADLINE, connected
from tests.documents import DOCS, blocks, build_project, section
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


def test_gateway_that_the_page_explains_is_the_one_that_is_written(tmp_path: Path) -> None:
    text = (DOCS / "tutorial.md").read_text(encoding="utf-8").partition("## 3.")[0]
    written = build_project(text, tmp_path) / "mysite" / "gateways" / "chat.py"
    (shown,) = blocks(section(DOCS / "tutorial.md", "3. How it works"), "python")
    assert written.read_text(encoding="utf-8") == shown.partition("\n")[2]


def test_project_has_no_problems(project: Path) -> None:
    run("manage.py", "check", "--fail-level", "WARNING", environment=ENVIRONMENT, cwd=project)


def test_project_passes_its_own_test(project: Path) -> None:
    run("manage.py", "test", environment=ENVIRONMENT, cwd=project)


def test_chat_does_what_the_tutorial_says(server: Server) -> None:
    assert "<h1>Chat</h1>" in read(f"{server.url}/chat/")
    with connected(server) as ada:
        ada_says = ada.receive()["data"]["sender"]
        with connected(server) as bob:
            assert ada.receive()["data"]["text"] == bob.receive()["data"]["text"] == "came in"
            ada.send("message.send", {"text": "Hello"})
            assert bob.receive()["data"] == {"sender": ada_says, "text": "Hello"}
            assert ada.receive()["data"]["text"] == "Hello"
            read(f"{server.url}/kettle/")
            assert ada.receive()["data"] == {"sender": "The kettle", "text": "I am boiling!"}
        assert ada.receive()["data"]["text"] == "left"
        ada.send("message.send", {"text": ""})
        assert ada.receive()["data"]["code"] == "invalid_payload"
        ada.socket.send("nonsense")
        assert ada.receive()["data"]["code"] == "malformed"
        ada.send("kettle.steal", ref=1)
        assert ada.receive()["ref"] == 1


def read(url: str) -> str:
    with urlopen(url, timeout=DEADLINE) as response:
        text: str = response.read().decode()
    return text
