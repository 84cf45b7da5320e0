"""The memory of a server over time, and what one client costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Concatenate, ParamSpec, TypeVar

from .harness import Server, available, session
from .peers import Peer
from .results import Result
from .swarm import Swarm

P = ParamSpec("P")
T = TypeVar("T")

WARM_UP = 20
"""Members that come first, so that nothing is counted which a server makes but once."""


class MemoryWatch:
    """Takes a sample with each call: seconds, and megabytes (10**6 bytes), since the start."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._started = time.monotonic()
        self._before = server.memory()
        self.samples: list[tuple[float, float]] = [(0.0, 0.0)]

    def __call__(self) -> None:
        grown = self._server.memory() - self._before
        self.samples.append((round(time.monotonic() - self._started, 2), round(grown / 1e6, 2)))

    def growth_mb(self) -> float:
        """The highest of all samples."""
        return max(grown for _, grown in self.samples)


def costs(
    peers: Sequence[Peer],
    result: Result,
    repeats: int,
    attack: Callable[Concatenate[Swarm, P], T],
    *args: P.args,
    **kwargs: P.kwargs,
) -> Iterator[tuple[str, T, MemoryWatch]]:
    """Run `attack` on fresh servers; the peer's name, what it returned, and the memory."""
    for _ in range(repeats):
        for peer in available(peers, result):
            with session(peer) as opened:
                opened.clients.call(Swarm.connect, WARM_UP)
                watch = MemoryWatch(opened.server)
                outcome = opened.clients.watched_call(watch, attack, *args, **kwargs)
                yield peer.name, outcome, watch
