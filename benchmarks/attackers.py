"""How long does a neighbour wait while one client floods, is closed for it, and is back at once?

The limits are those by default. The flood is as fast as the server reads; the round trips are of
eight other clients. The memory is the peak of the server, less what it held before.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from statistics import quantiles
from typing import NamedTuple

from . import peers
from .cli import main
from .harness import available, session
from .memory import WARM_UP, MemoryWatch
from .neighbours import round_trips, second_clients
from .results import Result
from .swarm import Swarm, WrongResult
from .wire import CLOSE, FrameReader, client_frame

PEERS = (
    peers.OURS_ON_DAPHNE,
    peers.OURS_ON_UVICORN,
    peers.Peer("ours", "hypercorn"),
    peers.Peer("ours", "granian"),
)
CODES = {4429, 1006}
"""What floods are closed with; 1006 is where the reset of a server was faster."""


def _event(event: str, data: object, **more: object) -> str:
    return json.dumps({"event": event, "data": data, **more})


FLOODS = {
    "malformed": ["{}"],
    "valid": [_event("noop", {})],
    "joins": [_event("join", {"room": f"room {number}"}) for number in range(1000)],
    "huge refs": [_event("noop", {}, ref="x" * 60_000)],
    "refused tokens": [_event("auth.refresh", {"token": "e30." * 100}, ref=1)],
}


class Flood(NamedTuple):
    connections: int
    codes: dict[int, int]


def flood(swarm: Swarm, texts: list[str], seconds: float) -> Flood:
    """Send frames without end, on one connection after the other."""
    frames = b"".join(map(client_frame, texts))
    data = frames * max(1, 1_000_000 // len(frames))
    codes: Counter[int] = Counter()
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        codes[_until_closed(swarm, data, until)] += 1
    return Flood(codes.total(), dict(codes))


def _until_closed(swarm: Swarm, data: bytes, until: float) -> int:
    """Return the code with which the server closes a connection that floods."""
    attacker, reader, sent = swarm.open_control().socket, FrameReader(), 0
    attacker.setblocking(False)
    with attacker, suppress(ConnectionError):
        while time.perf_counter() < until + 5:
            with suppress(BlockingIOError):
                sent += attacker.send(data[sent % len(data) :])
            with suppress(BlockingIOError):
                while chunk := attacker.recv(1 << 16):
                    for opcode, payload in reader.feed(chunk):
                        if opcode == CLOSE:
                            return int.from_bytes(payload[:2], "big")
                return 1006
        raise WrongResult("the server never closed a flood")
    return 1006


def run(quick: bool) -> Result:
    seconds, repeats = (0.5, 1) if quick else (4.0, 2)
    result = Result("attackers", __doc__ or "")
    for kind, texts in FLOODS.items():
        worst = result.measure(f"round trip of a neighbour beside {kind}, p99", "ms", "lower")
        growth = result.measure(f"memory growth by {kind}", "MB", "lower", resolution=0.1)
        count = result.measure(f"connections that were closed for {kind}", "")
        for _ in range(repeats):
            for peer in available(PEERS[:1] if quick else PEERS, result):
                with session(peer, limits=True) as opened, second_clients(opened) as flooder:
                    opened.clients.call(Swarm.connect, WARM_UP)
                    watch = MemoryWatch(opened.server)
                    with ThreadPoolExecutor() as threads:
                        flooding = threads.submit(flooder.call, flood, texts, seconds + 1)
                        time.sleep(0.5)
                        found = opened.clients.watched_call(watch, round_trips, seconds)
                        attack = flooding.result()
                    if not attack.codes.keys() <= CODES:
                        raise WrongResult(f"{kind} were closed with {attack.codes}")
                    watch()
                    worst.add(peer.name, quantiles(found, n=100)[98])
                    growth.add(peer.name, watch.growth_mb())
                    count.add(peer.name, attack.connections)
        for peer in PEERS:
            result.compare(worst, peer.name, bar=20)
            result.compare(growth, peer.name, bar=16)
    return result


if __name__ == "__main__":
    main(run)
