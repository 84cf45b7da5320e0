"""What all tests share: a clock that stands still, Redis, and a channel layer of their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from arcly_channels.layers import LocalChannelLayer
from arcly_channels.testing.contract.helpers import many_switches as many_switches
from tests.redis_servers import RedisNode, RedisServer, redis_cluster

settings.register_profile("suite", deadline=None, database=None)  # No deadline: machines differ.
settings.load_profile("suite")


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    """A Redis server that the tests of a run share, each with a prefix of its own."""
    with RedisServer() as server:
        yield server


@pytest.fixture(scope="session")
def cluster() -> Iterator[RedisNode]:
    """A node of a Redis Cluster that they share in the same way."""
    with redis_cluster() as nodes:
        yield nodes[0]


@pytest.fixture
def layer(gateway_layer: LocalChannelLayer) -> LocalChannelLayer:
    """The default channel layer, new for this test."""
    return gateway_layer
