"""What all tests share: clocks that a test moves, and a channel layer that is its own."""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from channels.layers import channel_layers
from hypothesis import settings

from arcly_channels.layers import LocalChannelLayer
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


@pytest.fixture
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Makes so many seconds pass at once, for all that asks `time.monotonic`; asyncio is one."""
    real, passed = time.monotonic, 0.0

    def advance(seconds: float) -> None:
        nonlocal passed
        passed += seconds

    monkeypatch.setattr(time, "monotonic", lambda: real() + passed)
    return advance


@pytest.fixture
def many_switches() -> Iterator[None]:
    """Makes the interpreter switch threads in the middle of things."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


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
async def layer() -> AsyncIterator[LocalChannelLayer]:
    """The default channel layer, new for this test."""
    layer = LocalChannelLayer()
    channel_layers.set("default", layer)
    yield layer
    await layer.close()
    del channel_layers.backends["default"]
