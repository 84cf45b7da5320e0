"""Starts a server on one core and its clients on another, each in a child process, and ends both.

Linux only: pinning, memory and CPU time are read and set through the kernel's own interfaces.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Concatenate, NamedTuple, ParamSpec, TypeVar, cast

from .peers import Peer
from .results import Result
from .swarm import Swarm, WrongResult
from .wire import Dialect

P = ParamSpec("P")
T = TypeVar("T")

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, CLIENT_CORE = CORES[0], CORES[-1]
_PAGE, _TICK = os.sysconf("SC_PAGESIZE"), os.sysconf("SC_CLK_TCK")


def pin(core: int) -> None:
    """Keep this process on one core; without effect when there is only one."""
    if len(CORES) > 1:
        os.sched_setaffinity(0, {core})


class Server:
    """One server process and its workers."""

    def __init__(
        self,
        peer: Peer,
        log: IO[bytes],
        *,
        keepalive: bool = False,
        congestion: str = "",
        limits: bool = False,
        redis: str = "",
        port: int = 0,
    ) -> None:
        self._log = log
        self.port = port or free_port()
        arguments = [peer.application, peer.server, str(self.port)]
        if len(CORES) > 1:
            arguments.append(str(SERVER_CORE))
        self._command = [peer.python, "-m", "benchmarks.servers.run", *arguments]
        self._environment = (
            os.environ
            | ({"BENCH_KEEPALIVE": "1"} if keepalive else {})
            | ({"BENCH_CONGESTION": congestion} if congestion else {})
            | ({"BENCH_LIMITS": "1"} if limits else {})
            | ({"BENCH_REDIS": redis, "BENCH_LAYER": peer.layer} if peer.layer else {})
        )
        self.start()

    def start(self) -> None:
        """Start it, or start it again on the same port; return once it accepts connections."""
        self._process = subprocess.Popen(
            self._command,
            cwd=Path(__file__).parents[1],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        try:
            self._wait_until_it_accepts()
        except BaseException:
            self.stop()
            raise
        self._pids = [self._process.pid, *_descendants(self._process.pid)]

    def memory(self) -> int:
        """The resident memory of all its processes, in bytes."""
        return sum(
            int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE for pid in self._pids
        )

    def cpu_seconds(self) -> float:
        """The CPU time that all its processes have used so far."""
        ticks = 0
        for pid in self._pids:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / _TICK

    def end(self, signal_number: int) -> None:
        """Have it end by a signal, and return once it has."""
        self._process.send_signal(signal_number)
        self._process.wait(60)  # Its input is closed afterwards, which would end it at once.
        self._process.communicate()

    def stop(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()

    def log(self) -> str:
        """The end of what the server printed."""
        self._log.seek(0)
        return self._log.read()[-4000:].decode(errors="replace")

    def _wait_until_it_accepts(self, timeout: float = 20.0) -> None:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise RuntimeError(
                    f"the server ended with status {self._process.returncode}:\n{self.log()}"
                )
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"the server accepts no connection after {timeout} s:\n{self.log()}")


class Clients:
    """A swarm in a process of its own, where any picklable function that takes a swarm can run."""

    def __init__(self, port: int, dialect: Dialect) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve_calls, args=(theirs, port, dialect), daemon=True
        )
        self._process.start()
        theirs.close()

    def call(
        self, function: Callable[Concatenate[Swarm, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return self.watched_call(lambda: None, function, *args, **kwargs)

    def watched_call(
        self,
        watch: Callable[[], object],
        function: Callable[Concatenate[Swarm, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        """The same, with `watch()` called here twenty times a second until the function returns."""
        self._pipe.send((function, args, kwargs))
        while not self._pipe.poll(0.05):
            watch()
        try:
            succeeded, value = self._pipe.recv()
        except EOFError:
            raise RuntimeError("the clients' process ended; it printed why") from None
        if not succeeded:
            raise RuntimeError(value)
        return cast(T, value)

    def stop(self) -> None:
        """Drop all connections at once."""
        self._process.kill()
        self._process.join()


class Session(NamedTuple):
    """One peer at work: its server and the clients of that server."""

    peer: Peer
    server: Server
    clients: Clients

    def cpu_seconds(self) -> float:
        """The CPU time that the server has used so far."""
        return self.server.cpu_seconds()


@contextmanager
def session(
    peer: Peer,
    *,
    keepalive: bool = False,
    congestion: str = "",
    limits: bool = False,
    redis: str = "",
) -> Iterator[Session]:
    """A fresh server with its clients. An error inside shows what the server had printed.

    `congestion` is the algorithm of its connections, as Daphne and uvicorn can be given one.
    `limits` are those of clients by default; without, nobody meets one. `redis` is the URL for
    peers that need one.
    """
    pin(CLIENT_CORE)
    with ExitStack() as stack:
        log = stack.enter_context(TemporaryFile())
        server = Server(
            peer, log, keepalive=keepalive, congestion=congestion, limits=limits, redis=redis
        )
        stack.callback(server.stop)
        clients = Clients(server.port, peer.dialect)
        stack.callback(clients.stop)
        try:
            yield Session(peer, server, clients)
        except RuntimeError as error:
            raise RuntimeError(f"{peer.name}: {error}\n{server.log()}") from None


def available(peers: Sequence[Peer], result: Result) -> list[Peer]:
    """The peers that can run here; the result says why the others cannot."""
    for peer in peers:
        if reason := peer.missing():
            result.skip(peer.name, reason)
    return [peer for peer in peers if not peer.missing()]


@contextmanager
def sessions(
    peers: Sequence[Peer], result: Result, members: int, redis: str = ""
) -> Iterator[list[Session]]:
    """All available peers at once, each with `members` connected, for samples that take turns."""
    with ExitStack() as stack:
        opened = [
            stack.enter_context(session(peer, redis=redis)) for peer in available(peers, result)
        ]
        for each in opened:
            each.clients.call(Swarm.connect, members)
        yield opened


def _serve_calls(pipe: Connection, port: int, dialect: Dialect) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pin(CLIENT_CORE)
    swarm: Swarm | None = None
    while True:
        try:
            function, args, kwargs = pipe.recv()
        except EOFError:
            return
        try:
            swarm = swarm or Swarm(port, dialect)
            reply = True, function(swarm, *args, **kwargs)
        except (WrongResult, OSError):
            reply = False, traceback.format_exc()
        pipe.send(reply)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _descendants(pid: int) -> list[int]:
    children: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        children += [int(child) for child in path.read_text().split()]
    return children + [below for child in children for below in _descendants(child)]
