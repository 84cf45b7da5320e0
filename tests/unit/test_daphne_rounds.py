"""Daphne looks at all its connections as before, but never at very many in one turn."""

from __future__ import annotations

from asyncio import Future, new_event_loop
from collections.abc import Callable, Iterator
from typing import Any

import daphne.server
import pytest
from twisted.internet import task

from arcly_channels.transports.daphne_rounds import FEW, go_round_in_slices

MANY = 2 * FEW + 1


class Protocol:
    """A connection that Daphne has."""

    looked_at = 0

    def check_timeouts(self) -> None:
        self.looked_at += 1


class Reactor(task.Clock):
    """Daphne's reactor, and the event loop below it."""

    def call_soon(self, function: Callable[..., object], *args: object) -> None:
        self.callLater(0, function, *args)


@pytest.fixture
def reactor(monkeypatch: pytest.MonkeyPatch) -> Reactor:
    reactor = Reactor()
    monkeypatch.setattr(daphne.server, "reactor", reactor)
    return reactor


@pytest.fixture
def ended() -> Iterator[Future[None]]:
    """An application that has ended."""
    loop = new_event_loop()
    future: Future[None] = loop.create_future()
    future.set_result(None)
    yield future
    loop.close()


def serve(reactor: Any, details: dict[str, Any] | None = None) -> tuple[Any, list[Protocol]]:
    server = daphne.server.Server(None, endpoints=["none is opened"])
    protocols = [Protocol() for _ in range(MANY)]
    server.connections = {each: dict(details or {}) for each in protocols}
    go_round_in_slices(server, reactor)
    return server, protocols


def looks(protocols: list[Protocol]) -> int:
    return sum(each.looked_at for each in protocols)


def test_few_connections_are_looked_at_in_one_turn(reactor: Reactor) -> None:
    server, protocols = serve(reactor)
    server.timeout_checker()
    assert looks(protocols) == FEW


def test_round_looks_at_everybody_once(reactor: Reactor) -> None:
    server, protocols = serve(reactor)
    server.timeout_checker()
    reactor.pump([0, 0, 0, 0])
    assert {each.looked_at for each in protocols} == {1}


def test_next_round_begins_when_daphne_says(reactor: Reactor) -> None:
    server, protocols = serve(reactor)
    server.timeout_checker()
    reactor.pump([0, 0, 0, 2, 0, 0, 0])
    assert {each.looked_at for each in protocols} == {2}


def test_server_forgets_applications_that_have_ended(reactor: Reactor, ended: Future[None]) -> None:
    server, _ = serve(reactor, {"application_instance": ended, "disconnected": 1.0})
    server.application_checker()
    reactor.pump([0, 0, 0])
    assert server.connections == {}


def test_connection_that_is_gone_meanwhile_is_left_out(reactor: Reactor) -> None:
    server, protocols = serve(reactor)
    server.timeout_checker()
    del server.connections[protocols[-1]]
    reactor.pump([0, 0, 0])
    assert protocols[-1].looked_at == 0


def test_rounds_of_a_server_are_changed_once(reactor: Reactor) -> None:
    server, _ = serve(reactor)
    first = server.timeout_checker
    go_round_in_slices(server, reactor)
    assert server.timeout_checker is first
