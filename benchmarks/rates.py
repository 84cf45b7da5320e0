"""Delivery rates of several servers, sampled in turn: for fan-out, bursts and several processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from .harness import Clients
from .peers import Peer
from .results import Measure, Result
from .swarm import Swarm


class Opened(Protocol):
    """Servers of one peer, and their clients."""

    @property
    def peer(self) -> Peer: ...
    @property
    def clients(self) -> Clients: ...
    def cpu_seconds(self) -> float: ...


def sample_rates(
    result: Result,
    opened: Sequence[Opened],
    title: str,
    *,
    burst: int,
    members: int,
    size: int,
    quick: bool,
) -> Measure:
    """Measure `burst` broadcasts per loop turn; return the deliveries per second.

    Every sample lasts about half a second, whatever the server's speed: the number of rounds is
    chosen after two short trial runs.
    """
    rate = result.measure(title, "deliveries/s")
    cpu = result.measure(f"{title}: server CPU per delivery", "µs", "lower")
    load = result.measure(f"{title}: client's load", "of one core", "lower")
    repeats, seconds = (1, 0.05) if quick else (7, 0.5)
    rounds = [_rounds_for(each, seconds, burst, size) for each in opened]
    for _ in range(repeats):
        for each, count in zip(opened, rounds, strict=True):
            before = each.cpu_seconds()
            run = each.clients.call(Swarm.fan_out, count, burst, size)
            deliveries = count * burst * members
            rate.add(each.peer.name, deliveries / run.seconds)
            cpu.add(each.peer.name, (each.cpu_seconds() - before) / deliveries * 1e6)
            load.add(each.peer.name, run.client_load)
    return rate


def _rounds_for(opened: Opened, seconds: float, burst: int, size: int) -> int:
    rounds = 2
    for _ in range(2):
        run = opened.clients.call(Swarm.fan_out, rounds, burst, size)
        rounds = max(2, min(50 * rounds, int(rounds * seconds / run.seconds)))
    return rounds
