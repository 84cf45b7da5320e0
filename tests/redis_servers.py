"""Real Redis servers as child processes: on a free port of this machine, ended by process id."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from tests.servers import free_port, skip_for_want_of

DEADLINE = 10.0


class RedisServer:
    """A `redis-server` with nothing on disk. Used in a `with`, it runs inside it.

    `options` are those of its command line, as in `RedisServer("--requirepass", "secret")`.
    """

    def __init__(self, *options: str) -> None:
        if shutil.which("redis-server") is None:
            skip_for_want_of("redis-server")
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self._options = options
        self._directory = tempfile.TemporaryDirectory(prefix="arcly-redis-")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> Path:
        return Path(self._directory.name) / "log"

    def start(self) -> None:
        """Start it, and return once it takes connections."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *("redis-server", "--port", str(self.port), "--bind", "127.0.0.1"),
                    *("--save", "", "--dir", self._directory.name, *self._options),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + DEADLINE
        while not self._is_listening():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"redis-server does not listen:\n{self.log.read_text()}")
            time.sleep(0.01)

    def kill(self) -> None:
        """End it at once, as a crash would. Idempotent."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def pause(self) -> None:
        """Let it do nothing, with its connections open, until it is to `resume`."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def ask(self, *words: str) -> str:
        """Return what `redis-cli` prints for a command."""
        done = subprocess.run(
            ["redis-cli", "-p", str(self.port), *words],
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=True,
        )
        return done.stdout.strip()

    def _signal(self, number: int) -> None:
        if self._process is None:
            raise RuntimeError("the server is not running")
        self._process.send_signal(number)

    def _is_listening(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def __enter__(self) -> RedisServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._directory.cleanup()
