"""Real Redis servers as child processes: on a free port of this machine, ended by process id."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tests.servers import free_port, skip_for_want_of

if TYPE_CHECKING:
    from typing_extensions import Self

DEADLINE = 10.0

SLOTS = 16384
"""How many slots a cluster has."""

MASTER = "the-master"
"""What a `RedisSentinel` calls the server that it looks after."""


class RedisServer:
    """A `redis-server` with nothing on disk. Used in a `with`, it runs inside it.

    `options` are those of its command line, as in `RedisServer("--loglevel", "verbose")`. It can be
    ended and started again, on the same port and with nothing in it.
    """

    def __init__(self, *options: str, password: str | None = None) -> None:
        if shutil.which("redis-server") is None:
            skip_for_want_of("redis-server")
        self.port = free_port()
        credentials = "" if password is None else f":{password}@"
        self.url = f"redis://{credentials}127.0.0.1:{self.port}"
        self._options = options if password is None else (*options, "--requirepass", password)
        self._environment = {**os.environ, "REDISCLI_AUTH": password or ""}
        self._directory = tempfile.TemporaryDirectory(prefix="arcly-redis-")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def directory(self) -> Path:
        return Path(self._directory.name)

    @property
    def log(self) -> Path:
        return self.directory / "log"

    @property
    def unix_url(self) -> str:
        """The same server, by a socket in the file system."""
        return f"unix://{self.directory / 'socket'}"

    def start(self) -> None:
        """Start it, and return once it takes connections."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                cwd=self.directory,
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

    def stop(self) -> None:
        """Have it end in its own way, which closes its connections. Idempotent."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.wait(DEADLINE)

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
        """Return what `redis-cli` prints for a command; raise if that is an error."""
        done = subprocess.run(
            ["redis-cli", "-e", "-p", str(self.port), *words],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{words[0]}: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    def until(self, *words: str, says: str) -> None:
        """Return once `says` is part of what `redis-cli` prints for a command."""
        deadline = time.monotonic() + DEADLINE
        while says not in (printed := self.ask(*words)):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{' '.join(words)} does not say {says!r}:\n{printed}")
            time.sleep(0.01)

    def _command(self) -> list[str]:
        return [
            *("redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""),
            *("--unixsocket", "socket", "--repl-diskless-sync-delay", "0", *self._options),
        ]

    def _signal(self, number: int) -> None:
        if self._process is None:
            raise RuntimeError("the server is not running")
        self._process.send_signal(number)

    def _is_listening(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._directory.cleanup()


class RedisReplica(RedisServer):
    """A server that has what another one has."""

    def __init__(self, master: RedisServer) -> None:
        super().__init__("--replicaof", "127.0.0.1", str(master.port))

    def start(self) -> None:
        """Start it, and return once it follows its master."""
        super().start()
        self.until("INFO", "replication", says="master_link_status:up")


class RedisSentinel(RedisServer):
    """Looks after a master by the name `MASTER`, and puts its replica in its place."""

    def __init__(self, master: RedisServer, *, down_after: float = 0.5) -> None:
        super().__init__()
        milliseconds = round(1000 * down_after)
        (self.directory / "sentinel.conf").write_text(
            f"port {self.port}\nbind 127.0.0.1\n"
            f"sentinel monitor {MASTER} 127.0.0.1 {master.port} 1\n"
            f"sentinel down-after-milliseconds {MASTER} {milliseconds}\n"
            f"sentinel failover-timeout {MASTER} 5000\n"
        )

    def start(self) -> None:
        """Start it, and return once it knows of a replica."""
        super().start()
        self.until("SENTINEL", "MASTER", MASTER, says="num-slaves\n1")

    def _command(self) -> list[str]:
        return ["redis-server", "sentinel.conf", "--sentinel"]


class RedisNode(RedisServer):
    """A node of a cluster; `redis_cluster` makes one of several."""

    def __init__(self, *options: str) -> None:
        self.bus = str(free_port())
        super().__init__(
            *("--cluster-enabled", "yes", "--cluster-port", self.bus),
            *("--cluster-node-timeout", "1000", *options),
        )

    @property
    def id(self) -> str:
        return self.ask("CLUSTER", "MYID")

    def has(self, slot: int) -> bool:
        """Return whether it says that a slot is its own."""
        nodes = self.ask("CLUSTER", "NODES").splitlines()
        _, *ranges = next(line for line in nodes if "myself" in line).split(" connected")
        found = [each.split("-") for each in "".join(ranges).split() if each[0] != "["]
        return any(int(each[0]) <= slot <= int(each[-1]) for each in found)


@contextmanager
def redis_cluster(masters: int = 3, *options: str, replicas: int = 0) -> Iterator[list[RedisNode]]:
    """Run a cluster of so many masters, with the same number of slots each.

    The first of them has so many `replicas`, which come last. `options` are for all of them.
    """
    with ExitStack() as stack:
        nodes = [RedisNode(*options) for _ in range(masters)]
        for number, node in enumerate(nodes):
            stack.enter_context(node)
            first, after = (SLOTS * each // masters for each in (number, number + 1))
            node.ask("CLUSTER", "ADDSLOTSRANGE", str(first), str(after - 1))
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
        nodes += [stack.enter_context(RedisNode(*options)) for _ in range(replicas)]
        for node in nodes[1:]:
            nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", str(node.port), node.bus)
        for node in nodes:
            node.until("CLUSTER", "INFO", says="cluster_state:ok")
            node.until("CLUSTER", "INFO", says=f"cluster_known_nodes:{len(nodes)}")
        for replica in nodes[masters:]:
            replica.ask("CLUSTER", "REPLICATE", nodes[0].id)
            replica.until("INFO", "replication", says="master_link_status:up")
            for node in nodes:
                node.until("CLUSTER", "REPLICAS", nodes[0].id, says=replica.id)
        yield nodes


def move_slot(slot: int, nodes: list[RedisNode], to: RedisNode) -> None:
    """Give a slot to another master, with all that is in it, as resharding does."""
    owner = next(node for node in nodes if node.has(slot))
    to.ask("CLUSTER", "SETSLOT", str(slot), "IMPORTING", owner.id)
    owner.ask("CLUSTER", "SETSLOT", str(slot), "MIGRATING", to.id)
    for key in owner.ask("CLUSTER", "GETKEYSINSLOT", str(slot), "1000").splitlines():
        owner.ask("MIGRATE", "127.0.0.1", str(to.port), key, "0", "1000")
    for node in [to, *(each for each in nodes if each is not to)]:
        node.ask("CLUSTER", "SETSLOT", str(slot), "NODE", to.id)
