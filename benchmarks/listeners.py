"""What do five event streams cost that nobody reads, while 40 MB is broadcast to each?

One more is read, and must get every event in order, or the benchmark fails. The memory is the
peak of the server's processes during the broadcast, less what they held before it.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from . import peers
from .cli import main
from .harness import available, session
from .memory import MemoryWatch
from .peers import Peer
from .results import Result
from .stalled import INTERVAL, PATIENCE, SIZE, STALLED
from .swarm import Swarm, WrongResult, check_numbers

PEERS = (
    peers.STREAMS_ON_DAPHNE,
    Peer("sse", "uvicorn"),
    Peer("sse", "hypercorn"),
    Peer("sse", "granian"),
    peers.STOCK_STREAMS_ON_DAPHNE,
)
WARM_UP = 10
DEADLINE = 120.0


def listen(swarm: Swarm, count: int) -> None:
    """Add event streams; all but the first are read no more once some events have come."""
    for _ in range(count):
        stream = socket.create_connection(("127.0.0.1", swarm.port), timeout=DEADLINE)
        stream.sendall(f"GET /member HTTP/1.1\r\nHost: 127.0.0.1:{swarm.port}\r\n\r\n".encode())
        swarm.members[stream.fileno()] = stream
        _until(stream, lambda seen: b'"event":"ready"' in seen)
    swarm.control.tell("go", {"rounds": WARM_UP, "burst": 1, "size": SIZE, "interval": INTERVAL})
    for stream in swarm.members.values():
        _read_ticks(stream, 0, WARM_UP)
    swarm.control.hear("done")
    for descriptor in list(swarm.members)[1:]:
        swarm.parked.append(swarm.members.pop(descriptor))


def broadcast(swarm: Swarm, rounds: int) -> None:
    """Have events broadcast, and read them where they are read."""
    [reader] = swarm.members.values()
    command = {"rounds": rounds, "burst": 1, "size": SIZE, "first": WARM_UP, "interval": INTERVAL}
    swarm.control.tell("go", command)
    _read_ticks(reader, WARM_UP, rounds)
    swarm.control.hear("done")


def ended(swarm: Swarm, patience: float) -> int:
    """How many of the streams that were not read have ended."""
    deadline = time.monotonic() + patience
    return sum(_has_ended(each, deadline) for each in swarm.parked)


def _has_ended(stream: socket.socket, deadline: float) -> bool:
    try:
        while True:
            stream.settimeout(max(0.1, deadline - time.monotonic()))
            if not stream.recv(1 << 20):
                return True
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def _read_ticks(stream: socket.socket, first: int, count: int) -> None:
    """Read so many ticks, of which the last has come with all of its text."""
    last = b"%020d" % (first + count - 1)
    seen = _until(stream, lambda seen: b"}\n\n" in seen.rpartition(last)[2] and last in seen)
    check_numbers(seen, first, count)


def _until(stream: socket.socket, is_enough: Callable[[bytearray], bool]) -> bytearray:
    """Return what comes until the last of it is enough."""
    seen = bytearray()
    deadline = time.monotonic() + DEADLINE
    while not is_enough(seen[-2 * SIZE :]):
        if time.monotonic() > deadline:
            raise WrongResult(f"a stream says too little in {DEADLINE:g} s")
        data = stream.recv(1 << 18)
        if not data:
            raise WrongResult("the server closed a stream that is read")
        seen += data
    return seen


def run(quick: bool) -> Result:
    rounds, repeats, patience = (30, 1, 0.5) if quick else (1250, 2, PATIENCE)
    parameters = {"stalled": STALLED, "payload_bytes": SIZE, "interval_seconds": INTERVAL}
    result = Result("listeners", __doc__ or "", frames=rounds, **parameters)
    title = f"memory growth, {STALLED} streams not read, {rounds * SIZE / 1e6:g} MB sent to each"
    growth = result.measure(title, "MB", "lower", resolution=0.1)
    evicted = result.measure("streams not read that were ended", f"of {STALLED}")
    for _ in range(repeats):
        for peer in available(PEERS, result):
            with session(peer) as opened:
                opened.clients.call(listen, 1 + STALLED)
                watch = MemoryWatch(opened.server)
                opened.clients.watched_call(watch, broadcast, rounds)
                growth.add(peer.name, watch.growth_mb())
                evicted.add(peer.name, opened.clients.call(ended, patience))
                result.series.setdefault(peer.name, watch.samples)
    for peer in PEERS:
        if peer.application == "sse":
            result.compare(growth, peer.name, bar=8)
            result.compare(evicted, peer.name, bar=STALLED)
    names = peers.STREAMS_ON_DAPHNE.name, peers.STOCK_STREAMS_ON_DAPHNE.name
    result.compare(growth, *names)
    return result


if __name__ == "__main__":
    main(run)
