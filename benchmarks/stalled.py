"""What do five clients that stop reading cost, while 40 MB is broadcast to each and one reads?

The reader must get every frame in order, or the benchmark fails. The memory is the peak of the
server's processes during the broadcast, less what they held before it.
"""

from __future__ import annotations

import socket
import time

from . import peers
from .cli import main
from .harness import available, session
from .memory import MemoryWatch
from .peers import Peer
from .results import Result
from .swarm import Swarm
from .wire import CLOSE, FrameReader

PEERS = (
    peers.OURS_ON_DAPHNE,
    peers.OURS_ON_UVICORN,
    Peer("ours", "uvicorn_wsproto"),
    Peer("ours", "hypercorn"),
    Peer("ours", "granian"),
    peers.STOCK_ON_DAPHNE,
)
STALLED = 5
SIZE = 32_000
INTERVAL = 0.003
PATIENCE = 3.0
OPEN, DROPPED = 0, 1006


def warm_up_and_stall(swarm: Swarm) -> None:
    """Have the server allocate what first frames need; then all members but one stop reading."""
    swarm.fan_out(10, 1, SIZE, INTERVAL)
    swarm.park(STALLED)


def endings(swarm: Swarm, patience: float) -> list[int]:
    """How each stalled connection ended: a close code, DROPPED, or OPEN if it did not."""
    deadline = time.monotonic() + patience
    return [_ending(each, deadline) for each in swarm.parked]


def _ending(stalled: socket.socket, deadline: float) -> int:
    reader = FrameReader()
    try:
        while True:
            stalled.settimeout(max(0.1, deadline - time.monotonic()))
            data = stalled.recv(1 << 20)
            for kind, payload in reader.feed(data):
                if kind == CLOSE:
                    return int.from_bytes(payload[:2], "big")
            if not data:
                return DROPPED
    except TimeoutError:
        return OPEN
    except ConnectionError:
        return DROPPED


def run(quick: bool) -> Result:
    rounds, repeats, patience = (30, 1, 0.5) if quick else (1250, 2, PATIENCE)
    parameters = {"stalled": STALLED, "payload_bytes": SIZE, "interval_seconds": INTERVAL}
    result = Result("stalled", __doc__ or "", frames=rounds, **parameters)
    title = (
        f"memory growth, {STALLED} stalled clients, {rounds * SIZE / 1e6:g} MB broadcast to each"
    )
    growth = result.measure(title, "MB", "lower", resolution=0.1)
    evicted = result.measure("stalled clients thrown out", f"of {STALLED}")
    for _ in range(repeats):
        for peer in available(PEERS, result):
            with session(peer) as opened:
                opened.clients.call(Swarm.connect, 1 + STALLED)
                opened.clients.call(warm_up_and_stall)
                watch = MemoryWatch(opened.server)
                opened.clients.watched_call(watch, Swarm.fan_out, rounds, 1, SIZE, INTERVAL)
                found = opened.clients.call(endings, patience)
                growth.add(peer.name, watch.growth_mb())
                evicted.add(peer.name, sum(ending != OPEN for ending in found))
                result.series.setdefault(peer.name, watch.samples)
                result.close_codes.setdefault(peer.name, found)
    for peer in PEERS:
        if peer.application == "ours":
            result.compare(growth, peer.name, bar=8)
            result.compare(evicted, peer.name, bar=STALLED)
    result.compare(growth, peers.OURS_ON_DAPHNE.name, peers.STOCK_ON_DAPHNE.name)
    return result


if __name__ == "__main__":
    main(run)
