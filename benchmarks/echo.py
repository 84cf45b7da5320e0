"""How many events a second are answered, 100 clients that each ask again as soon as they hear?

The server decodes each frame, runs a handler, and sends an event to whom asked. Metrics are on, and
limits, which nobody meets. Every client has one question under way.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any

from . import peers
from .cli import main
from .harness import sessions
from .results import Result
from .swarm import Swarm, WrongResult
from .wire import client_frame

PEERS = (
    peers.OURS_ON_DAPHNE,
    peers.BARE_ON_DAPHNE,
    peers.STOCK_ON_DAPHNE,
    peers.OURS_ON_UVICORN,
    peers.BARE_ON_UVICORN,
    peers.STOCK_ON_UVICORN,
)
TITLE = "events answered"


def ask_for(swarm: Swarm, seconds: float, data: dict[str, Any] | None = None) -> float:
    """Have every member ask again and again for so long; the answers a second."""
    question = client_frame(swarm.dialect.encode("echo", data or {}))
    answered, started = 0, perf_counter()
    for member in swarm.members.values():
        member.sendall(question)
    while perf_counter() - started < seconds:
        for descriptor, _ in swarm.epoll.poll(1.0):
            if not swarm.members[descriptor].recv(4096):
                raise WrongResult("the server closed a member")
            swarm.members[descriptor].sendall(question)
            answered += 1
    rate = answered / (perf_counter() - started)
    waiting = set(swarm.members)
    while waiting:
        for descriptor, _ in swarm.epoll.poll(5.0):
            swarm.members[descriptor].recv(4096)
            waiting.discard(descriptor)
    return rate


def run(quick: bool) -> Result:
    members, repeats, seconds = (5, 1, 0.1) if quick else (100, 5, 2)
    result = Result("echo", __doc__ or "", members=members)
    rate = result.measure(TITLE, "events/s")
    cost = result.measure("server CPU per event", "µs", "lower")
    with sessions(PEERS, result, members) as opened:
        for each in opened:
            each.clients.call(ask_for, seconds / 4)
        for _ in range(repeats):
            for each in opened:
                before = each.server.cpu_seconds()
                found = each.clients.call(ask_for, seconds)
                used = each.server.cpu_seconds() - before
                rate.add(each.peer.name, found)
                cost.add(each.peer.name, used / (found * seconds) * 1e6)
    for ours, bare, stock in (PEERS[:3], PEERS[3:]):
        result.compare(rate, ours.name, bare.name, bar=0.8)
        result.compare(rate, ours.name, stock.name, bar=3)
    return result


if __name__ == "__main__":
    main(run)
