"""The layers that the contract is held against. A new layer is a new parameter here."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest

from arcly_channels.layers import LocalChannelLayer, RedisChannelLayer
from arcly_channels.relay import workers
from arcly_channels.testing.contract.helpers import MakeLayer

KINDS = ["local", "redis", "cluster"]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run each test that makes layers with all kinds of them.

    Tests in which time jumps are about what one process has. In a cluster, links that are just
    being made would run out of time.
    """
    if "make_layer" in metafunc.fixturenames:
        kinds = ["local", "redis"] if "gateway_clock" in metafunc.fixturenames else KINDS
        metafunc.parametrize("make_layer", kinds, indirect=True)


@pytest.fixture
async def make_layer(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[MakeLayer]:
    """Makes layers of the kind under test with a CONFIG, and closes them when the test is over."""
    monkeypatch.setattr(workers, "POLL", 0.1)  # They end that much sooner.
    make_one: Callable[..., Any] = LocalChannelLayer
    if request.param != "local":
        options = {"prefix": secrets.token_hex(4), "cluster": request.param == "cluster"}
        hosts = [request.getfixturevalue(request.param).url]
        make_one = partial(RedisChannelLayer, hosts, **options)
    made: list[Any] = []

    def make(**config: Any) -> Any:
        made.append(make_one(**config))
        return made[-1]

    yield make
    for layer in made:
        await layer.flush()
        await layer.close()
