"""The page about systemd: its units are valid, and what they start does what the page says."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from websockets import Subprotocol
from websockets.sync.client import connect

from arcly_channels.conf.settings import get_settings
from tests.clients import Client
from tests.documents import DOCS, blocks, section
from tests.integration.test_deploy import ENVIRONMENT, NAME, NGINX, ORIGIN, deployed_project
from tests.servers import START_DEADLINE, require

PAGE = DOCS / "how-to" / "deploy-systemd.md"
SEVERAL = DOCS / "how-to" / "scale-out.md"
SERVICE, UVICORN = blocks(section(PAGE, "The unit"), "ini")
SOCKET, BY_UNIX, TCP, BY_TCP = blocks(section(PAGE, "A door that is never closed"), "ini")
EXEC = re.compile(r"ExecStart=(?:.*\\\n)*.*\n")
BIN = Path(sys.executable).parent


def with_command(lines: str) -> str:
    """Return the unit with the command of another block, and with what it wants beside it."""
    (command,) = EXEC.findall(lines)
    requires = lines.replace(command, "")
    unit = EXEC.sub(lambda _: command, SERVICE).replace("[Unit]\n", f"[Unit]\n{requires}")
    return re.sub("RuntimeDirectory.*\n", "", unit) if requires else unit


def command_of(unit: str) -> list[str]:
    return shlex.split(EXEC.findall(unit)[0].partition("=")[2].replace("\\\n", ""))


def one_of_several() -> str:
    """Return the unit with the two lines of the page about several processes."""
    (lines,) = blocks(section(SEVERAL, "The servers"), "ini")
    (command,) = EXEC.findall(lines)
    unit = EXEC.sub(lambda _: command, SERVICE)
    return re.sub("RuntimeDirectory=.*\n", lines.replace(command, ""), unit)


UNITS = {
    "daphne": ("", SERVICE),
    "one-of-several": ("", one_of_several()),
    "uvicorn": ("", with_command(UVICORN)),
    "uvicorn-socket": (SOCKET, with_command(BY_UNIX)),
    "daphne-socket": (SOCKET.replace("ListenStream=/run/chat.sock\n", TCP), with_command(BY_TCP)),
}


@pytest.mark.parametrize("name", UNITS)
def test_systemd_understands_the_units(name: str, tmp_path: Path) -> None:
    require("systemd-analyze")
    door, service = UNITS[name]
    (tmp_path / "chat.service").write_text(service.replace("/srv/chat/.venv/bin", str(BIN)))
    if door:
        (tmp_path / "chat.socket").write_text(door)
    units = [str(each) for each in tmp_path.iterdir()]
    verify = ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *units]
    done = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_commands_are_those_of_the_page_about_nginx() -> None:
    for heading, unit in (("Daphne", SERVICE), ("uvicorn", with_command(UVICORN))):
        (command,) = blocks(section(NGINX, heading), "console")
        assert command_of(unit) == shlex.split(f"/srv/chat/.venv/bin/{command}")


def test_systemd_waits_for_longer_than_the_drain() -> None:
    (timeout,) = re.findall(r"TimeoutStopSec=(\d+)", SERVICE)
    assert int(timeout) > get_settings().DRAIN_DEADLINE


# What systemd does with a socket, done here


class Door:
    """A socket that stays while the server behind it is started and stopped."""

    def __init__(self, listener: socket.socket, command: list[str], project: Path) -> None:
        self._listener = listener
        self._command = command
        self._project = project
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server as systemd does, with the socket as its descriptor 3."""
        variables = "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=chat.socket"
        script = f'{variables} exec "$0" "$@" 3<&{self._listener.fileno()}'
        with (self._project / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["bash", "-c", script, *self._command],
                cwd=self._project,
                env={**os.environ, **ENVIRONMENT, "PYTHONPATH": ":".join(sys.path)},
                pass_fds=[self._listener.fileno()],
                stdout=log,
                stderr=log,
            )

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(START_DEADLINE)
            self._process = None

    @contextmanager
    def open(self) -> Iterator[Client]:
        """Come in as a page does, by what nginx would say; wait for as long as it takes."""
        options: Any = {
            "additional_headers": {**ORIGIN, "X-Forwarded-Proto": "https"},
            "subprotocols": [Subprotocol("arcly.v1")],
            "open_timeout": START_DEADLINE,
        }
        visitor = socket.socket(self._listener.family)
        visitor.connect(self._listener.getsockname())
        with connect(f"ws://{NAME}/ws/chat/", sock=visitor, **options) as websocket:
            yield Client(websocket)

    def greeting(self) -> str:
        """Come in, and return the name of the first event."""
        with self.open() as client:
            event: str = client.receive()["event"]
            return event


@contextmanager
def door(name: str, project: Path) -> Iterator[Door]:
    file, service = UNITS[name]
    program, *arguments = command_of(service)
    (where,) = re.findall("ListenStream=(.+)", file)
    is_unix = where.startswith("/")
    with closing(socket.socket(socket.AF_UNIX if is_unix else socket.AF_INET)) as listener:
        listener.bind(str(project / "chat.sock") if is_unix else ("127.0.0.1", 0))
        listener.listen()
        found = Door(listener, [str(BIN / Path(program).name), *arguments], project)
        try:
            yield found
        finally:
            found.stop()


@pytest.fixture(scope="module")
def project() -> Iterator[Path]:
    with TemporaryDirectory(prefix="arcly-") as made:
        yield deployed_project(Path(made))


@pytest.mark.parametrize("name", ["uvicorn-socket", "daphne-socket"])
def test_who_comes_during_a_restart_waits_at_the_door(name: str, project: Path) -> None:
    with door(name, project) as chat, ThreadPoolExecutor() as threads:
        chat.start()
        with chat.open() as ada:
            assert ada.receive()["event"] == "gateway:welcome"
            chat.stop()
            assert ada.receive()["data"]["code"] == 1012
        coming = [threads.submit(chat.greeting) for _ in range(3)]
        chat.start()
        assert [each.result(2 * START_DEADLINE) for each in coming] == ["gateway:welcome"] * 3
