"""A burst over a slow line: one client that reads as fast as its line lets it.

Run inside a network of its own, whose only link is slow: `python -m tests.integration.lines`, with
the server, Mbit/s, and bursts as JSON. `run_behind_line` makes the network and runs it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from tests.clients import connected
from tests.integration.stalled import EagerClient
from tests.integration.test_outbound import SERVERS
from tests.servers import ROOT, Server

DEADLINE = 60.0
SLOW_LINK = (
    "ip link set lo up mtu 1500 && "
    'tc qdisc add dev lo root tbf rate {}mbit burst 32kbit latency 400ms && exec "$@"'
)


class Burst(NamedTuple):
    """What is sent: `frames` of `size` bytes, by a coroutine or a thread."""

    frames: int
    size: int
    in_thread: bool


class Outcome(NamedTuple):
    """What became of the reader: all of it read, or evicted by a frame; and after how long."""

    is_kept: bool
    frame: int
    seconds: float


def can_slow_a_line() -> bool:
    """Return whether this process may make a network of its own with a slow link."""
    if not all(map(shutil.which, ("unshare", "ip", "tc"))):
        return False
    done = subprocess.run(_in_network(10, "true"), capture_output=True, timeout=20, check=False)
    return done.returncode == 0


def run_behind_line(server: str, mbit: int, *bursts: Burst, timeout: float) -> list[Outcome]:
    """Return what each burst does to a reader behind a line of so many Mbit/s."""
    command = (sys.executable, "-m", "tests.integration.lines", server, json.dumps(bursts))
    done = subprocess.run(
        _in_network(mbit, *command), cwd=ROOT, capture_output=True, timeout=timeout, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr.decode())
    return [Outcome(*each) for each in json.loads(done.stdout)]


def _in_network(mbit: int, *command: str) -> list[str]:
    return ["unshare", "-n", "sh", "-c", SLOW_LINK.format(mbit), "sh", *command]


def _measure(name: str, burst: Burst, directory: Path) -> Outcome:
    """Send one burst from a fresh server, whose senders have all their budget."""
    with (
        Server(*SERVERS[name], directory=directory) as server,
        connected(server, {}, "/control") as control,
        EagerClient(server.host) as reader,
    ):
        control.receive()
        deadline = time.monotonic() + DEADLINE
        while not reader.received_bytes:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        started = time.monotonic()
        control.send("frames", burst._asdict())
        whole = burst.frames * burst.size
        while reader.received_bytes < whole and not reader.is_closed:
            assert time.monotonic() < deadline, reader.received_bytes
            time.sleep(0.01)
        seconds = time.monotonic() - started
        evicted: Any = control.receive()["data"]
        if evicted:
            return Outcome(False, int(evicted[0]), evicted[1])
        return Outcome(not reader.is_closed, burst.frames, seconds)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        bursts = [Burst(*each) for each in json.loads(sys.argv[2])]
        sys.stdout.write(json.dumps([_measure(sys.argv[1], each, Path(made)) for each in bursts]))
