"""Can a few clients that read just too slowly hold up whoever broadcasts to their room?

A handler, or a thread, broadcasts 100 KB ten times a second, while 1, 3 and 20 of the members read
700 KB/s each; every four seconds those who were thrown out are replaced. Once three of them talk as
well, 2 MB/s in all. Their segments are as small as on a real line, so that the server sees them
take a little all the time. A last member reads everything, and must get every broadcast in order.
The rate is that beside the rate without slow readers, the longest call that of the sender. Servers
are measured side by side: their load is small.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from . import peers
from .cli import main
from .harness import Session, available, session
from .results import Result
from .swarm import NUMBER, Swarm, WrongResult
from .wire import client_frame, upgrade_request

PEERS = (peers.OURS_ON_DAPHNE, peers.OURS_ON_UVICORN)
SENDERS = {"a coroutine": "steady", "a thread": "steady_thread"}
CONGESTION = ("cubic", "bbr")
SIZE, INTERVAL = 100_000, 0.1
TALK, TALK_SIZE, TALK_INTERVAL = 10**15, 10_000, 0.005
READ_RATE = 700_000
RENEWAL = 4.0
SEGMENT, RECEIVE_BUFFER = 1448, 64 * 1024
TICK = 0.005


@dataclass(frozen=True)
class Readers:
    """How many slow readers there are, and whether they talk."""

    count: int
    talk: bool = False

    def __str__(self) -> str:
        return f"{self.count} slow readers{' that talk' if self.talk else ''}"


ATTACKS = (Readers(1), Readers(3), Readers(20), Readers(3, talk=True))


class Outcome(NamedTuple):
    """Messages a second, the longest call in seconds, and how many slow readers were replaced."""

    rate: float
    longest: float
    replaced: int


class SlowReader:
    """A member that reads `READ_RATE`."""

    def __init__(self, swarm: Swarm) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, SEGMENT)
        self._socket.connect(("127.0.0.1", swarm.port))
        self._socket.sendall(upgrade_request(swarm.port, swarm.dialect.member_path))
        self._socket.setblocking(False)
        self._started = time.monotonic()
        self._read = 0
        self.is_gone = False

    def read(self) -> None:
        """Read what is due by now; what was not there does not become due later."""
        due = int((time.monotonic() - self._started) * READ_RATE) - self._read
        try:
            while due > 0 and not self.is_gone:
                got = len(self._socket.recv(due))
                self._read += got
                due -= got
                self.is_gone = not got
        except BlockingIOError:
            self._read += due
        except ConnectionError:
            self.is_gone = True

    def say(self, frame: bytes) -> None:
        with suppress(OSError):
            self._socket.send(frame)

    def close(self) -> None:
        self._socket.close()


class FullReader:
    """The member that reads everything; `numbers` are those of the sender's broadcasts."""

    def __init__(self, swarm: Swarm) -> None:
        self._socket = next(iter(swarm.members.values()))
        self._tail = b""
        self.numbers: list[int] = []

    def read(self) -> None:
        with suppress(BlockingIOError):
            while data := self._socket.recv(1 << 18):
                data = self._tail + data
                numbers = map(int, NUMBER.findall(data))
                self.numbers += [number for number in numbers if number < TALK]
                self._tail = data[-25:]  # A byte less than what the pattern matches.
            raise WrongResult("the server closed the member that reads")

    def check(self, sent: int) -> None:
        """Raise unless it gets all that was sent, in order."""
        deadline = time.monotonic() + 5
        while len(self.numbers) < sent and time.monotonic() < deadline:
            time.sleep(TICK)
            self.read()
        if len(self.numbers) != sent or self.numbers != sorted(set(self.numbers)):
            raise WrongResult(f"the member that reads got {len(self.numbers)} of {sent} broadcasts")


def attack(swarm: Swarm, command: str, kind: Readers, seconds: float) -> Outcome:
    """Have the server broadcast, with slow readers in the room."""
    if not swarm.members:
        swarm.connect(1)
    witness = FullReader(swarm)
    readers = [SlowReader(swarm) for _ in range(kind.count)]
    talk = client_frame(swarm.dialect.encode("say", {"n": TALK, "size": TALK_SIZE}))
    time.sleep(0.1)
    swarm.control.tell(command, {"seconds": seconds, "size": SIZE, "interval": INTERVAL})
    replaced, renewal = 0, time.monotonic() + RENEWAL
    while not select.select([swarm.control.socket], [], [], TICK)[0]:
        witness.read()
        for reader in readers:
            reader.read()
        if kind.talk:
            readers.append(readers.pop(0))
            readers[0].say(talk)
        if time.monotonic() > renewal:
            renewal += RENEWAL
            replaced += replace(swarm, readers)
    report = swarm.control.hear("done")
    for reader in readers:
        reader.close()
    witness.check(int(report["sent"]))
    return Outcome(report["rate"], report["longest"], replaced)


def replace(swarm: Swarm, readers: list[SlowReader]) -> int:
    """Put a new reader in the place of each that was thrown out; how many these were."""
    gone = [index for index, reader in enumerate(readers) if reader.is_gone]
    for index in gone:
        readers[index].close()
        readers[index] = SlowReader(swarm)
    return len(gone)


def algorithms() -> list[str]:
    """The congestion controls of `CONGESTION` that this machine has."""
    known = Path("/proc/sys/net/ipv4/tcp_available_congestion_control").read_text().split()
    return [each for each in CONGESTION if each in known]


@contextmanager
def victims(result: Result) -> Iterator[dict[str, tuple[Session, str]]]:
    """A server for every peer, congestion control and kind of sender, by what describes it."""
    with ExitStack() as stack:
        yield {
            f"{peer.name}, {algorithm}, {sender}": (
                stack.enter_context(session(peer, congestion=algorithm)),
                command,
            )
            for peer in available(PEERS, result)
            for algorithm in algorithms()
            for sender, command in SENDERS.items()
        }


def run(quick: bool) -> Result:
    seconds, quiet_seconds = (0.3, 0.3) if quick else (15.0, 3.0)
    parameters = {"size": SIZE, "interval_seconds": INTERVAL, "bytes_per_second": READ_RATE}
    result = Result("slow_readers", __doc__ or "", seconds=seconds, **parameters)
    with victims(result) as found, ThreadPoolExecutor(len(found)) as threads:

        def attack_all(kind: Readers, seconds: float) -> dict[str, Outcome]:
            running = {
                name: threads.submit(opened.clients.call, attack, command, kind, seconds)
                for name, (opened, command) in found.items()
            }
            return {name: each.result() for name, each in running.items()}

        quiet = attack_all(Readers(0), quiet_seconds)
        for kind in ATTACKS[: 2 if quick else None]:
            kept = result.measure(f"rate kept beside {kind}", "of 1")
            longest = result.measure(f"longest call beside {kind}", "ms", "lower")
            replaced = result.measure(f"replaced, of {kind}", "sockets", "lower")
            for name, outcome in attack_all(kind, seconds).items():
                kept.add(name, outcome.rate / quiet[name].rate)
                longest.add(name, outcome.longest * 1000)
                replaced.add(name, outcome.replaced)
                result.compare(kept, name, bar=0.9)
                result.compare(longest, name, bar=300)
    return result


if __name__ == "__main__":
    main(run)
