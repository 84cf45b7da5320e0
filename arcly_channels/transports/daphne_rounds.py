"""Daphne's rounds over all its connections, a few of them in a turn of the loop.

Every second or two, Daphne lists its connections and looks at each for what may have run out. With
10,000 that takes some 20 ms in which nobody else has a turn, and makes so many objects that twice a
minute all of the garbage is collected, for half a second: `benchmarks/heartbeat.py`. What Daphne
does with each connection stays its own.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from collections.abc import Callable
from typing import Any

FEW = 250
"""How many connections are looked at in one turn: less than the 700 new objects after which Python
looks for garbage."""

_ROUNDS = ("application_checker", "timeout_checker")


def go_round_in_slices(server: Any, loop: AbstractEventLoop) -> None:
    """Have Daphne's `server` look at few connections at a time, from its next rounds on."""
    for name in _ROUNDS:
        if hasattr(type(server), name) and name not in vars(server):
            setattr(server, name, _Round(server, name, loop))


class _Few:
    """Stands in for a server that has only a few of its connections, and another next round."""

    def __init__(self, server: Any, connections: dict[Any, Any], **next_round: Any) -> None:
        self.connections = connections
        self._server = server
        vars(self).update(next_round)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._server, name)


class _Round:
    """One of Daphne's rounds; it sets the timer for the next one itself, at the end."""

    def __init__(self, server: Any, name: str, loop: AbstractEventLoop) -> None:
        self._server = server
        self._loop = loop
        self._name = name
        self._look: Callable[[Any], None] = getattr(type(server), name)

    def __call__(self) -> None:
        self._go_on(list(self._server.connections))

    def _go_on(self, protocols: list[Any]) -> None:
        connections = self._server.connections
        few = {each: connections[each] for each in protocols[:FEW] if each in connections}
        rest = protocols[FEW:]
        server = _Few(self._server, few.copy(), **{self._name: _end if rest else self})
        self._look(server)
        for each in few.keys() - server.connections.keys():
            connections.pop(each, None)
        if rest:
            self._loop.call_soon(self._go_on, rest)


def _end() -> None:
    """Begin no new round: the one before goes on."""
