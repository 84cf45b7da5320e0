"""How late are broadcasts while another connection waits for a database query of one second?

Broadcasts are made every ten milliseconds, by a task of the server or by a handler that a client's
message starts; each carries the time at which it was sent, and every member compares.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import quantiles
from typing import Any

from . import peers
from .cli import main
from .harness import sessions
from .results import Result
from .swarm import NUMBER, Swarm, WrongResult

PEERS = (peers.OURS_ON_DAPHNE, peers.STOCK_ON_DAPHNE)
SIZE = 100
INTERVAL = 0.01
QUERY_SECONDS = 1.0


def from_server(swarm: Swarm, rounds: int, query_seconds: float) -> list[float]:
    """The delays in milliseconds of ticks that the server sends on its own."""
    go = {"rounds": rounds, "burst": 1, "size": SIZE, "interval": INTERVAL, "stamped": True}
    delays = _delays(swarm, rounds, query_seconds, [(0.0, lambda: swarm.control.tell("go", go))])
    swarm.control.hear("done")
    return delays


def from_client(swarm: Swarm, rounds: int, query_seconds: float) -> list[float]:
    """The delays in milliseconds of ticks that a client asks for, from its request on."""
    speaker = swarm.open_control()

    def say() -> None:
        speaker.tell("say", {"n": time.monotonic_ns(), "size": SIZE})

    return _delays(
        swarm, rounds, query_seconds, [(index * INTERVAL, say) for index in range(rounds)]
    )


def _delays(
    swarm: Swarm, rounds: int, query_seconds: float, acts: list[tuple[float, Callable[[], None]]]
) -> list[float]:
    """Do each act when it is due, the query after a fifth of the time; wait for every tick."""
    blocker = swarm.open_control()
    query = rounds * INTERVAL / 5, lambda: blocker.tell("block", {"seconds": query_seconds})
    acts = sorted([*acts, query], key=lambda act: act[0])
    delays: list[float] = []
    started = time.monotonic()
    while len(delays) < rounds * len(swarm.members):
        elapsed = time.monotonic() - started
        if elapsed > rounds * INTERVAL + 30:
            raise WrongResult(f"only {len(delays)} of {rounds * len(swarm.members)} ticks arrived")
        while acts and acts[0][0] <= elapsed:
            acts.pop(0)[1]()
        wait = min(1.0, max(0.0, acts[0][0] - elapsed)) if acts else 1.0
        for descriptor, _ in swarm.epoll.poll(wait):
            data = swarm.members[descriptor].recv(1 << 16)
            if not data:
                raise WrongResult("the server closed a member")
            now = time.monotonic_ns()
            delays += [(now - int(sent)) / 1e6 for sent in NUMBER.findall(data)]
    blocker.hear("done")
    return delays


def run(quick: bool) -> Result:
    members, rounds, query_seconds, repeats = (
        (3, 20, 0.1, 1) if quick else (20, 250, QUERY_SECONDS, 3)
    )
    parameters: dict[str, Any] = {
        "members": members,
        "interval_seconds": INTERVAL,
        "query_seconds": query_seconds,
    }
    result = Result("latency", __doc__ or "", rounds=rounds, **parameters)
    with sessions(PEERS, result, members) as opened:
        for source, title in (
            (from_server, "a broadcast of the server"),
            (from_client, "a client's message"),
        ):
            measures = {
                percentile: result.measure(f"delay of {title}, {percentile}", "ms", "lower")
                for percentile in ("p50", "p99", "max")
            }
            for _ in range(repeats):
                for each in opened:
                    delays = each.clients.call(source, rounds, query_seconds)
                    cuts = quantiles(delays, n=100)
                    for percentile, delay in (
                        ("p50", cuts[49]),
                        ("p99", cuts[98]),
                        ("max", max(delays)),
                    ):
                        measures[percentile].add(each.peer.name, delay)
            result.compare(
                measures["max"],
                peers.OURS_ON_DAPHNE.name,
                bar=20 if source is from_server else None,
            )
            result.compare(measures["max"], peers.OURS_ON_DAPHNE.name, peers.STOCK_ON_DAPHNE.name)
    return result


if __name__ == "__main__":
    main(run)
