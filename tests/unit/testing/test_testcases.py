"""The mixin for Django's test cases: a layer and a clock of their own, and clients that end."""

from __future__ import annotations

import unittest
from typing import Any

from channels.layers import channel_layers, get_channel_layer
from django.test import SimpleTestCase

from arcly_channels import GatewayConsumer, broadcast_to_room, subscribe
from arcly_channels.layers import LocalChannelLayer
from arcly_channels.testing import GatewayTestMixin, capture_broadcasts


class Chat(GatewayConsumer):
    gone: list[int] = []  # noqa: RUF012  # A test looks at it.

    async def on_connect(self) -> None:
        await self.join_room("tea")

    async def on_disconnect(self, code: int) -> None:
        self.gone.append(code)

    @subscribe("fail")
    async def fail(self, data: Any) -> None:
        raise LookupError("no such shelf")


class Case(GatewayTestMixin, SimpleTestCase):
    """Tests that are run by the tests below."""

    __test__ = False

    async def test_client_is_told(self) -> None:
        ann = await self.gateway_client(Chat.as_asgi()).connect()
        await self.gateway_clock.advance(1)
        broadcast_to_room("tea", "said", 1)
        await ann.expect("said", 1)
        assert await self.gateway_layer.group_size("tea") == 1

    async def test_failure(self) -> None:
        ann = await self.gateway_client(Chat.as_asgi()).connect()
        await ann.emit("fail")
        await ann.settle()

    async def test_own_failure(self) -> None:
        await (await self.gateway_client(Chat.as_asgi()).connect()).emit("fail")
        self.fail("of the test")

    def test_without_async(self) -> None:
        with capture_broadcasts() as sent:
            broadcast_to_room("tea", "said", 1)
        sent.expect("said", 1, room="tea")


class Alone(GatewayTestMixin, unittest.IsolatedAsyncioTestCase):
    __test__ = False

    async def test_client_is_told(self) -> None:
        ann = await self.gateway_client(Chat.as_asgi()).connect()
        broadcast_to_room("tea", "said", 1)
        await ann.expect("said", 1)


def run(case: type[GatewayTestMixin], name: str) -> unittest.TestResult:
    result = unittest.TestResult()
    case(name)(result)
    return result


def test_test_passes_and_leaves_nothing_behind() -> None:
    Chat.gone.clear()
    before = dict(channel_layers.backends)
    for case, name in ((Case, "test_client_is_told"), (Alone, "test_client_is_told")):
        result = run(case, name)
        assert (result.testsRun, result.failures, result.errors) == (1, [], [])
    assert Chat.gone == [1000, 1000]
    assert channel_layers.backends == before


def test_test_that_is_not_async_has_a_layer_too() -> None:
    result = run(Case, "test_without_async")
    assert (result.testsRun, result.failures, result.errors) == (1, [], [])


def test_failure_of_a_gateway_is_that_of_its_test() -> None:
    ((_, trace),) = run(Case, "test_failure").errors
    assert "LookupError: no such shelf" in trace


def test_own_failure_of_a_test_comes_first() -> None:
    result = run(Case, "test_own_failure")
    ((_, trace),) = result.failures
    assert "of the test" in trace
    assert result.errors == []


def test_every_layer_is_replaced_by_a_local_one_with_its_options(settings: Any) -> None:
    redis = {"hosts": ["redis://nowhere"], "prefix": "x", "capacity": 7}
    settings.CHANNEL_LAYERS = {
        "other": {"BACKEND": "arcly_channels.layers.RedisChannelLayer", "CONFIG": redis},
        "theirs": {"BACKEND": "channels.layers.InMemoryChannelLayer"},
    }
    case = Case("test_without_async")
    case.setUp()
    layers = [get_channel_layer(alias) for alias in ("default", "other", "theirs")]
    assert [isinstance(each, LocalChannelLayer) for each in layers] == [True, True, False]
    assert (layers[0], layers[1].capacity) == (case.gateway_layer, 7)
    case.doCleanups()
