"""Real servers as child processes: on a free port of this machine, ended by their process id."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

import pytest

ROOT = Path(__file__).resolve().parent.parent
START_DEADLINE = 30.0
STOP_DEADLINE = 10.0


class Server:
    """A program that listens on `port` of 127.0.0.1, or at a unix socket, and its output in `log`.

    `arguments` are those of Python, as in `Server("-m", "daphne", "--port", "{port}", …)`, or of
    another `program`. Used in a `with`, it runs inside it; it can be started and stopped again, on
    the same port.
    """

    def __init__(
        self,
        *arguments: str,
        directory: Path,
        environment: dict[str, str] | None = None,
        cwd: Path = ROOT,
        program: str = sys.executable,
        unix_socket: Path | None = None,
    ) -> None:
        self.port = free_port()
        self.host = f"127.0.0.1:{self.port}"
        self.url = f"http://{self.host}"
        self.log = directory / f"server-{self.port}.log"
        self._command = [program, *(each.format(port=self.port) for each in arguments)]
        self._environment = {**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})}
        self._environment["TMPDIR"] = str(directory)  # Runs side by side share no locks.
        self._cwd = cwd
        self._unix_socket = unix_socket
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id of the running program."""
        if self._process is None:
            raise RuntimeError("the server is not running")
        return self._process.pid

    def start(self) -> None:
        """Start the program, and return once it listens; raise with its log if it does not."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                cwd=self._cwd,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_DEADLINE
        while not self._is_listening():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError(f"{self._command} does not listen:\n{self.log.read_text()}")
            time.sleep(0.02)

    def stop(self, signal_number: int = signal.SIGTERM) -> None:
        """Ask the program to end, and kill it and its children if it does not. Idempotent."""
        process, self._process = self._process, None
        if process is None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(signal_number)
        try:
            process.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # It leads the group of its own children.
            process.wait()

    def wait(self, seconds: float) -> bool:
        """Return whether the program ends by itself in time; if not, it still runs."""
        if self._process is None:
            raise RuntimeError("the server is not running")
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        self._process = None
        return True

    def _is_listening(self) -> bool:
        path = self._unix_socket
        with suppress(OSError), socket.socket((path and socket.AF_UNIX) or socket.AF_INET) as peer:
            peer.settimeout(1)
            peer.connect(str(path) if path else ("127.0.0.1", self.port))
            return True
        return False

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


@contextmanager
def demo_server(directory: Path, *arguments: str, **environment: str) -> Iterator[Server]:
    """Serve the demo, with a database of its own in `directory`; by Daphne if nothing is given."""
    environment |= {
        "DJANGO_SETTINGS_MODULE": "demo_project.settings",  # The tests' own are in os.environ.
        "DEMO_DATABASE": str(directory / "demo.sqlite3"),
    }
    arguments = arguments or ("-m", "daphne", "--port", "{port}", "demo_project.asgi:application")
    run("manage.py", "migrate", "--verbosity", "0", environment=environment)
    with Server(*arguments, directory=directory, environment=environment) as server:
        yield server


@contextmanager
def demo_beside_stock(directory: Path) -> Iterator[Server]:
    """Serve the demo, and beside it the same on stock Channels, as `make demo` does."""
    with demo_server(directory, "-m", "demo_project.serve", "{port}") as server:
        yield server


@contextmanager
def demo_cluster(*command: str, redis: str | None = None) -> Iterator[Server]:
    """Serve the demo by two Daphnes behind nginx, over the Redis at a URL, or one of its own."""
    require("nginx", "redis-server")
    redis = redis or f"redis://127.0.0.1:{free_port()}"  # Where none is, so that one is started.
    command = command or ("-m", "demo_project.cluster", "{port}")
    # Not in a directory of pytest, whose path may be too long for the Unix sockets that it has.
    with (
        TemporaryDirectory(prefix="arcly-") as directory,
        demo_server(Path(directory), *command, DEMO_REDIS_URL=redis) as server,
    ):
        yield server


def run(
    *arguments: str,
    environment: dict[str, str] | None = None,
    cwd: Path = ROOT,
    python: str = sys.executable,
    timeout: float = START_DEADLINE,
) -> str:
    """Run a Python program to its end and return what it wrote; raise if it fails."""
    done = subprocess.run(
        [python, *arguments],
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{arguments} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


_handed_out: set[int] = set()
"""Ports that are somebody's by now, who may not listen yet."""


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on now, another one each time."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port: int = listener.getsockname()[1]
        if port not in _handed_out:
            _handed_out.add(port)
            return port


def require(*programs: str) -> None:
    """Skip the test where a program is missing."""
    for program in programs:
        if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None:
            skip_for_want_of(program)


def skip_for_want_of(what: str) -> NoReturn:
    """Skip the test, or let it fail where the suite is to be complete (ARCLY_REQUIRE_ALL=1)."""
    if os.environ.get("ARCLY_REQUIRE_ALL") == "1":
        pytest.fail(f"{what} is missing, and ARCLY_REQUIRE_ALL=1", pytrace=False)
    pytest.skip(f"{what} is missing")
