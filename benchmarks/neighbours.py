"""How long does a neighbour wait while one client sends 9 Mbit/s of small frames?

The round trips are of eight other clients, one after the other. Flood and neighbours are in
processes of their own.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from statistics import quantiles

from . import peers
from .cli import main
from .harness import Clients, Session, available, session
from .results import Result
from .swarm import Swarm, WrongResult
from .wire import client_frame

OURS = (peers.OURS_ON_DAPHNE, peers.OURS_ON_UVICORN)
STOCK = (peers.STOCK_ON_DAPHNE, peers.STOCK_ON_UVICORN)
FLOODS = {
    "events that do nothing": ('{"event":"noop","data":{}}', (*OURS, *STOCK)),
    "frames that are refused": ("{}", OURS),
}
"""What is sent, to whom; a stock consumer has nothing that it could answer."""
RATE = 9_000_000 // 8
NEIGHBOURS = 8
TICK = 0.002


def flood(swarm: Swarm, text: str, seconds: float) -> int:
    """Send frames at `RATE`, or as fast as the server reads, and discard what it answers.

    Returns how many bytes the server took.
    """
    sender = swarm.open_control().socket
    frame = client_frame(text)
    data = memoryview(frame * (int(RATE * seconds) // len(frame)))
    sender.setblocking(False)
    sent, started = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        with suppress(BlockingIOError):
            while sender.recv(1 << 18):
                pass
            raise WrongResult("the server ended the flood")
        with suppress(BlockingIOError):
            sent += sender.send(data[sent : int(RATE * elapsed)])
        time.sleep(TICK)
    return sent


def round_trips(swarm: Swarm, seconds: float) -> list[float]:
    """The round trips of the neighbours in milliseconds."""
    neighbours = [swarm.open_control() for _ in range(NEIGHBOURS)]
    found, started = [], time.perf_counter()
    while time.perf_counter() - started < seconds:
        for neighbour in neighbours:
            before = time.perf_counter()
            neighbour.ask("echo")
            found.append((time.perf_counter() - before) * 1000)
        time.sleep(0.01)
    return found


def both(opened: Session, text: str, seconds: float) -> tuple[int, list[float]]:
    """Flood, and half a second later begin with the round trips."""
    with second_clients(opened) as flooder, ThreadPoolExecutor() as threads:
        flooding = threads.submit(flooder.call, flood, text, seconds + 1)
        time.sleep(0.5)
        found = opened.clients.call(round_trips, seconds)
        return flooding.result(), found


@contextmanager
def second_clients(opened: Session) -> Iterator[Clients]:
    clients = Clients(opened.server.port, opened.peer.dialect)
    try:
        clients.call(Swarm.ask, "echo")
        yield clients
    finally:
        clients.stop()


def run(quick: bool) -> Result:
    seconds, repeats = (0.3, 1) if quick else (4.0, 2)
    result = Result("neighbours", __doc__ or "", bytes_per_second=RATE, neighbours=NEIGHBOURS)
    for kind, (text, competing) in FLOODS.items():
        title = f"round trip of a neighbour beside {kind}"
        middle = result.measure(f"{title}, median", "ms", "lower")
        worst = result.measure(f"{title}, p99", "ms", "lower")
        taken = result.measure(f"{kind} taken", "Mbit/s")
        for _ in range(repeats):
            for peer in available(competing[::2] if quick else competing, result):
                with session(peer) as opened:
                    sent, found = both(opened, text, seconds)
                cuts = quantiles(found, n=100)
                middle.add(peer.name, cuts[49])
                worst.add(peer.name, cuts[98])
                taken.add(peer.name, sent * 8 / (seconds + 1) / 1e6)
        for ours, stock in zip(OURS, STOCK, strict=True):
            result.compare(worst, ours.name, bar=20)
            if stock in competing:
                result.compare(worst, ours.name, stock.name)
    return result


if __name__ == "__main__":
    main(run)
