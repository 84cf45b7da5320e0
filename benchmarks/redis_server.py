"""A Redis of the benchmark's own: on a free port, on one core, gone with the benchmark."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from .harness import CORES, free_port

START_DEADLINE = 10.0
_SILENT_AND_WITHOUT_FILES = ("--save", "", "--appendonly", "no", "--loglevel", "warning")


def missing() -> str | None:
    """Why no Redis can be started here, or None."""
    absent = [name for name in ("redis-server", "setpriv") if shutil.which(name) is None]
    absent += [package for package in ("redis", "hiredis") if find_spec(package) is None]
    return f"not installed: {', '.join(absent)}" if absent else None


class RedisServer:
    """One running `redis-server`, with its defaults but for the files that it would write."""

    def __init__(self, core: int) -> None:
        import redis

        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        # The kernel ends it with this process, however this process ends.
        command = ["setpriv", "--pdeathsig", "KILL", "redis-server", *_SILENT_AND_WITHOUT_FILES]
        self._process = subprocess.Popen(
            [*command, "--bind", "127.0.0.1", "--port", str(self.port)], stdout=subprocess.DEVNULL
        )
        if len(CORES) > 1:
            os.sched_setaffinity(self._process.pid, {core})
        self._client: Any = redis.Redis(port=self.port)
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.stop()
            raise

    def info(self) -> dict[str, Any]:
        """What `INFO` says."""
        found: dict[str, Any] = self._client.info("everything")
        return found

    def cpu_seconds(self) -> float:
        """The CPU time that it has used so far, by its own account."""
        found = self._client.info("cpu")
        return float(found["used_cpu_user_main_thread"] + found["used_cpu_sys_main_thread"])

    def memory(self) -> int:
        """The bytes that it has in use."""
        return int(self._client.info("memory")["used_memory"])

    def stop(self) -> None:
        self._client.close()
        self._process.kill()
        self._process.wait()

    def _wait_until_it_answers(self) -> None:
        import redis

        deadline = time.monotonic() + START_DEADLINE
        while True:
            if self._process.poll() is not None:
                raise RuntimeError(f"redis-server ended with {self._process.returncode}")
            try:
                self._client.ping()
            except redis.ConnectionError:
                if time.monotonic() > deadline:
                    raise RuntimeError("redis-server does not answer") from None
                time.sleep(0.02)
            else:
                return


@contextmanager
def redis_server(core: int) -> Iterator[RedisServer]:
    """A Redis that runs inside the `with`."""
    server = RedisServer(core)
    try:
        yield server
    finally:
        server.stop()
