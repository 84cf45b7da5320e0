"""What the tests of the relay share: a Redis, and a server that does as it is told."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from tests.redis_servers import RedisServer
from tests.unit.relay.obedient import ObedientServer


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    """A Redis server that the tests share, each with names of its own."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def server() -> ObedientServer:
    return ObedientServer()


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has each pause that is to be random be the shortest: none."""
    monkeypatch.setattr(random, "uniform", lambda low, high: low)
