"""The tutorial, followed by somebody with a terminal and two browsers.

What it says to type is typed, and what it says to save is saved. `make tutorial` does so from
nothing, with an environment that is made and filled as the page says, and measures how long that
takes. With the other tests, no environment is made: it is theirs.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest

from tests.browser.sites import Open
from tests.clients import DEADLINE
from tests.documents import DOCS, snippets, write_file
from tests.servers import ROOT, Server

if TYPE_CHECKING:
    from playwright.sync_api import Page

PAGE = DOCS / "tutorial.md"
BAR = 60.0
"""Seconds of processor that all of it may take, but for the browsers."""

OF_THE_ENVIRONMENT = ("python -m venv", ". .venv/bin/activate", "pip install")
NOT_INSTALLED = (".*", "build", "docs", "tests", "benchmarks", "*.egg-info", "__pycache__")


class Reader:
    """Follows the page in an empty directory, in an environment of its own or that of the tests."""

    def __init__(self, directory: Path, *, is_new: bool) -> None:
        self.directory = directory
        self._is_new = is_new
        self._bin = directory / ".venv" / "bin" if is_new else Path(sys.executable).parent
        self._environment = {**os.environ, "PATH": f"{self._bin}:{os.environ['PATH']}"}
        for name in ("DJANGO_SETTINGS_MODULE", *(["PYTHONPATH"] if is_new else [])):
            self._environment.pop(name, None)

    def follow(self) -> Server:
        """Do all that the page says, and return the server that it says to start."""
        server = None
        for language, code in snippets(PAGE.read_text(encoding="utf-8")):
            write_file(code, self.directory)
            for command in code.splitlines() if language == "console" else ():
                if command.endswith("runserver"):
                    server = self._server(command)
                elif self._is_new or not command.startswith(OF_THE_ENVIRONMENT):
                    self.type(command)
        assert server is not None
        return server

    def type(self, command: str) -> None:
        """Type a command into the terminal; raise if it fails."""
        command = command.replace("/path/to/arcly_channels", str(self.directory / "clone"))
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.directory,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}"

    def _server(self, command: str) -> Server:
        python, *arguments = shlex.split(command)
        return Server(
            *(*arguments, "--noreload", "{port}"),
            directory=self.directory,
            environment={"DJANGO_SETTINGS_MODULE": "mysite.settings"},
            cwd=self.directory,
            program=str(self._bin / python),
        )


def chat(server: Server, open_page: Open) -> Page:
    """Do in two browsers what the page says to try; return the page of one that is still there."""
    ada, bob = (open_page(f"{server.url}/chat/") for _ in range(2))
    for each in (ada, bob):
        each.get_by_role("log").get_by_text("came in").first.wait_for()
    ada.get_by_label("Message").fill("The <b>kettle</b> is on")
    ada.get_by_role("button", name="Send").click()
    for each in (ada, bob):
        each.get_by_role("log").get_by_text("The <b>kettle</b> is on").wait_for()
    urlopen(f"{server.url}/kettle/", timeout=DEADLINE).close()
    bob.get_by_role("log").get_by_text("I am boiling!").wait_for()
    bob.close()
    ada.get_by_role("log").get_by_text("left").wait_for()
    (surprise,) = (code for name, code in snippets(PAGE.read_text()) if name == "javascript")
    code = f"(async () => {{ {surprise} }})().catch((error) => error.code)"
    assert ada.evaluate(code) == "unknown_event"
    return ada


def test_two_browsers_chat_at_the_end(tmp_path: Path, open_page: Open) -> None:
    with Reader(tmp_path, is_new=False).follow() as server:
        ada = chat(server, open_page)
    ada.get_by_role("alert").get_by_text("Not connected").wait_for()
    assert "Traceback" not in server.log.read_text()


@pytest.mark.long
def test_from_nothing_it_takes_less_than_a_minute_of_a_machine(
    tmp_path: Path, open_page: Open
) -> None:
    shutil.copytree(ROOT, tmp_path / "clone", ignore=shutil.ignore_patterns(*NOT_INSTALLED))
    reader = Reader(tmp_path, is_new=True)
    begun, used = time.monotonic(), used_by_children()
    with reader.follow() as server:
        chat(server, open_page)
    for command in ("python manage.py check --fail-level WARNING", "python manage.py test"):
        reader.type(command)
    taken, used = time.monotonic() - begun, used_by_children() - used
    sys.stdout.write(f"\nthe tutorial: {used:.0f} s of processor, in {taken:.0f} s\n")
    assert used < BAR


def used_by_children() -> float:
    """Return the seconds of processor that programs have used which have ended."""
    times = os.times()
    return times.children_user + times.children_system
