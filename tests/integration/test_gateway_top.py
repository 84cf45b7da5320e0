"""`manage.py gateway_top`: what it shows of a real server, and what it says where it cannot."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from urllib.request import urlopen

import pytest

from demo_project.settings import ARCLY_CHANNELS
from tests.clients import DEADLINE, Visitor, chatting, join
from tests.servers import ROOT, Server, free_port, run

SETTINGS = "demo_project.settings"
KEY = str(ARCLY_CHANNELS["WATCH_KEY"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("demo")
    added = {
        "DJANGO_SETTINGS_MODULE": SETTINGS,
        "DEMO_DATABASE": str(directory / "demo.sqlite3"),
    }
    run("manage.py", "migrate", "--verbosity", "0", environment=added)
    daphne = ("-m", "daphne", "--port", "{port}", "demo_project.asgi:application")
    with Server(*daphne, directory=directory, environment=added) as server:
        yield server


def top(
    *arguments: str, key: str = "", settings: str = SETTINGS
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        cwd=ROOT,
        env=environment(key, settings),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def command(*arguments: str) -> list[str]:
    return [sys.executable, "manage.py", "gateway_top", *arguments]


def environment(key: str = "", settings: str = SETTINGS) -> dict[str, str]:
    added = {"DJANGO_SETTINGS_MODULE": settings, "ARCLY_WATCH_KEY": key, "TERM": "xterm"}
    return {**os.environ, **added}


def test_clients_and_numbers_of_a_server_are_shown(server: Server) -> None:
    visitor = Visitor(server)
    visitor.enter(name="Ada", room="tea")
    with chatting(server, visitor.headers()) as ada:
        join(ada, "tea")
        done = top(server.url, "--once")
    assert (done.returncode, done.stderr) == (0, "")
    first, *_, client = done.stdout.splitlines()
    assert first == f"process {server.pid}: 1 connections, 1 rooms with 1 members, 0 evictions"
    assert re.search(r" 0 +0 +1 +\S+ \S+-\d+ +guest-\w+ +public +127\.0\.0\.1 +/ws/chat/$", client)


def test_lines_come_again_and_again_until_ctrl_c(server: Server) -> None:
    arguments = command(f"{server.url}/gateway-top", "--interval", "0.2")
    process = subprocess.Popen(
        arguments, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    seen = b""
    while seen.count(b"process") < 3:
        seen += process.stdout.readline()
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=DEADLINE)
    assert (process.returncode, errors) == (0, b"")
    assert b"0 frames/s out" in seen + rest


def test_screen_is_given_back_at_ctrl_c(server: Server) -> None:
    screen, terminal = pty.openpty()
    with closing(os.fdopen(screen, "rb", buffering=0)) as output:
        process = subprocess.Popen(
            command(server.url),
            cwd=ROOT,
            env=environment(),
            stdin=terminal,
            stdout=terminal,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        os.close(terminal)
        seen = b""
        while b"connections" not in seen:
            seen += output.read(4096)
        process.send_signal(signal.SIGINT)
        with suppress(OSError):  # The other end is closed.
            while data := output.read(4096):
                seen += data
        _, errors = process.communicate(timeout=DEADLINE)
    assert (process.returncode, errors) == (0, b"")
    assert b"\x1b[?1049l" in seen  # The screen from before is back.


def test_server_that_goes_and_comes_back_is_asked_again(tmp_path: Path, server: Server) -> None:
    process = subprocess.Popen(
        command(server.url, "--interval", "0.1"),
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    try:
        read_until(process, "connections")
        server.stop()
        read_until(process, "cannot be reached")
        server.start()
        read_until(process, "connections")
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=DEADLINE)
    assert process.returncode == 0


def read_until(process: subprocess.Popen[str], text: str) -> None:
    deadline = time.monotonic() + 30
    assert process.stdout is not None
    while text not in process.stdout.readline():
        assert time.monotonic() < deadline


@pytest.mark.parametrize(
    ("url", "key", "advice"),
    [
        ("{server}", "wrong", "wants another WATCH_KEY than this one: set ARCLY_WATCH_KEY"),
        ("{server}/nowhere", "", 'answers with 404: write path("", include("arcly_channels.urls"'),
        ("http://127.0.0.1:{free}", "", "cannot be reached"),
        ("http://no-such-host.invalid/", "", "cannot be reached"),
        ("{host}", "", "write http:// or https://"),
        ("http://[", "", "is no address of a server"),
    ],
)
def test_what_cannot_be_seen_is_explained(server: Server, url: str, key: str, advice: str) -> None:
    at = url.format(server=server.url, host=server.host, free=free_port())
    done = top(at, "--once", key=key)
    assert done.returncode == 1
    assert advice in done.stderr
    assert "Traceback" not in done.stderr


def test_key_of_the_environment_is_enough(server: Server) -> None:
    for key, advice in ((KEY, ""), ("", "wants a key, and there is none")):
        done = top(server.url, "--once", key=key, settings="tests.settings")
        assert done.returncode == (1 if advice else 0)
        assert advice in done.stderr


def test_health_of_the_demo_has_addresses(server: Server) -> None:
    for path in ("healthz", "readyz"):
        with urlopen(f"{server.url}/{path}", timeout=DEADLINE) as response:
            assert response.status == 200
