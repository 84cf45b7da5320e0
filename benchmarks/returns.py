"""Clients in a process of Node (`storm.mjs`), and how they came back to a restarted server."""

from __future__ import annotations

import json
import random
import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, NamedTuple

from .harness import CLIENT_CORE, CORES, Server
from .peers import Peer
from .swarm import Client, WrongResult

ROOT = Path(__file__).parents[1]
BIN = 0.25
"""Seconds of one column of a histogram."""


def missing() -> str | None:
    """What such clients need and this machine lacks, or None."""
    if shutil.which("node") is None:
        return "node"
    if not (ROOT / "tests/js/node_modules/ws").is_dir():
        return "the npm package ws (make tests/js/node_modules/.ready)"
    return None


class Returned(NamedTuple):
    """What became of one client; times are those of the system's clock, in seconds."""

    codes: list[int]
    """How its connections ended: the one before the restart, and those that were cut off again."""
    attempts: list[float]
    refused: int
    opened: float
    joined: float


class Storm(NamedTuple):
    """One restart: when the server was told to end, when it accepted again, and who came back."""

    ended: float
    reachable: float
    returned: list[Returned]
    client_load: float
    """Near 1, the core of the clients was the limit."""
    server_cpu: float
    worst_delay: float
    """Of the server's event loop, in seconds."""

    def last_back(self) -> float:
        """Seconds from when the server could be reached until everyone was in all rooms."""
        return max(each.joined for each in self.returned) - self.reachable

    def most_attempts(self) -> int:
        return max(len(each.attempts) for each in self.returned)

    def cut_off_again(self) -> int:
        """How many clients lost the connection by which they had come back."""
        return sum(len(each.codes) > 1 for each in self.returned)

    def slowest_handshake(self) -> float:
        return max(each.opened - each.attempts[-1] for each in self.returned)

    def busiest(self) -> int:
        """How many handshakes a server that is there has to begin within one `BIN`."""
        met = Counter(int((each.attempts[-1] - self.reachable) / BIN) for each in self.returned)
        return max(met.values())

    def attempts(self) -> list[tuple[float, float]]:
        """How many attempts began in each `BIN` of seconds since the end of the server."""
        columns = Counter(
            int((at - self.ended) / BIN) for each in self.returned for at in each.attempts
        )
        return [(column * BIN, columns[column]) for column in range(max(columns) + 2)]


class Crowd:
    """Clients of one kind, in their rooms, in a process of Node on the clients' core."""

    def __init__(self, port: int, kind: str, count: int) -> None:
        program = str(ROOT / "benchmarks" / "storm.mjs")
        pinned = ["taskset", "--cpu-list", str(CLIENT_CORE)] if len(CORES) > 1 else []
        self._process = subprocess.Popen(
            [*pinned, "node", program, f"ws://127.0.0.1:{port}/crowd", kind, str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._hear()

    def watch(self, patience: float, calm: float) -> None:
        """Begin to look at who is lost and comes back; it may take `patience` seconds."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"patience": 1000 * patience, "calm": 1000 * calm}))
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self._hear()

    def found(self) -> tuple[float, list[Returned]]:
        """The CPU seconds of all clients, and each of them; raise if one is lost for good."""
        found = self._hear()
        lost = [each for each in found["clients"] if not (each["codes"] and each["isIn"])]
        if lost:
            raise WrongResult(f"{len(lost)} clients did not go, or not come back: {lost[:3]}")
        return found["cpu"], [_returned(each) for each in found["clients"]]

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _hear(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the clients' process ended; it printed why")
        return json.loads(line)


def _returned(found: dict[str, Any]) -> Returned:
    return Returned(
        found["codes"],
        [at / 1000 for at in found["attempts"]],
        found["refused"],
        found["opened"] / 1000,
        found["joined"] / 1000,
    )


@contextmanager
def crowd(peer: Peer, kind: str, count: int) -> Iterator[tuple[Server, Crowd]]:
    """A fresh server with its crowd. An error inside shows what the server had printed."""
    with TemporaryFile() as log:
        server = Server(peer, log, keepalive=True, port=_port_to_come_back_to())
        try:
            clients = Crowd(server.port, kind, count)
            try:
                yield server, clients
            finally:
                clients.stop()
        except RuntimeError as error:
            raise RuntimeError(f"{peer.name}: {error}\n{server.log()}") from None
        finally:
            server.stop()


def restart(
    peer: Peer, server: Server, clients: Crowd, how: signal.Signals, down: float, calm: float
) -> Storm:
    """End the server by a signal, start it again so many seconds later, and wait for everyone."""
    clients.watch(patience=90, calm=calm)
    ended = time.time()
    server.end(how)
    time.sleep(max(0.0, ended + down - time.time()))
    server.start()
    reachable = time.time()
    witness = Client(server.port, peer.dialect.control_path, peer.dialect)
    witness.welcome()
    witness.ask("watch")
    cpu, returned = clients.found()
    report = witness.ask("report")
    witness.socket.close()
    took = max(each.joined for each in returned) - ended
    return Storm(
        ended, reachable, returned, cpu / took, server.cpu_seconds(), report["worst_delay"]
    )


def _port_to_come_back_to() -> int:
    """A free port below those that the kernel gives to clients.

    One of those could be given to a client while the server is away, which may even connect to
    itself by it; then the server cannot have it back.
    """
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(lowest // 2, lowest)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
