"""The clock: what is due happens in its time, and nobody waits for it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from arcly_channels import GatewayConsumer, subscribe
from arcly_channels.layers import LocalChannelLayer
from arcly_channels.testing import Clients, Clock

V1 = "arcly.v1"


class Slow(GatewayConsumer):
    @subscribe("rated", rate="1/m", burst=1)
    async def rated(self, data: Any) -> None:
        await self.emit("taken")

    @subscribe("fail")
    async def fail(self, data: Any) -> None:
        raise LookupError

    @subscribe("late", timeout=30)
    async def late(self, data: Any) -> None:
        await asyncio.sleep(60)


async def test_timers_run_in_their_order(gateway_clock: Clock) -> None:
    loop, ran = asyncio.get_running_loop(), list[int]()
    for seconds in (90, 30, 60):
        loop.call_later(seconds, ran.append, seconds)
    await gateway_clock.advance(61)
    assert ran == [30, 60]


async def test_nobody_waits(gateway_clock: Clock) -> None:
    started, wall = time.perf_counter(), time.time()
    await gateway_clock.advance(600)
    assert time.perf_counter() - started < 10
    assert time.time() - wall >= 600


async def test_time_is_real_again_afterwards() -> None:
    real = time.monotonic, time.time
    with Clock() as clock:
        clock.jump(1000)
    assert (time.monotonic, time.time) == real


async def test_clocks_add_up() -> None:
    inner = Clock()
    with Clock() as outer:
        outer.jump(1000)
        moved = time.time()
        with inner:
            assert time.time() >= moved
        assert time.time() >= moved


async def test_what_fails_is_logged_when_time_is_real_again(
    gateway_client: Clients, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        client = await gateway_client(Slow.as_asgi(), raise_errors=False).connect()
        await client.emit("fail")
        await client.expect_error("internal")

    with Clock() as clock:
        clock.jump(1000)
        await fail()
    await fail()
    assert caplog.text.count("Slow.fail failed") == 2


@pytest.mark.parametrize("is_layer_first", [True, False])
async def test_pings_come_and_who_does_not_answer_is_closed(
    request: pytest.FixtureRequest, is_layer_first: bool
) -> None:
    for name in ("gateway_client", "gateway_clock")[:: 1 if is_layer_first else -1]:
        request.getfixturevalue(name)
    client: Clients = request.getfixturevalue("gateway_client")
    clock: Clock = request.getfixturevalue("gateway_clock")
    ann = await client(Slow.as_asgi()).connect(subprotocol=V1)
    gone = await client(Slow.as_asgi(), answers_pings=False).connect(subprotocol=V1)
    await clock.advance(20)
    await ann.expect("gateway:ping")
    await clock.advance(70)
    await ann.expect_nothing()
    await gone.expect_close(4012)


async def test_claims_end(gateway_client: Clients, gateway_clock: Clock) -> None:
    claims = {"sub": "ann", "exp": time.time() + 900}
    ann = await gateway_client(Slow.as_asgi()).connect(claims=claims)
    await gateway_clock.advance(890)
    await ann.expect_nothing()
    await gateway_clock.advance(20)
    await ann.expect_close(4401)
    await gateway_client(Slow.as_asgi()).expect_refusal(4401, claims=claims)


async def test_rates_are_refilled(gateway_client: Clients, gateway_clock: Clock) -> None:
    ann = await gateway_client(Slow.as_asgi()).connect()
    await ann.emit("rated")
    await ann.expect("taken")
    await ann.emit("rated")
    await ann.expect_error("rate_limited")
    await gateway_clock.advance(60)
    await ann.emit("rated")
    await ann.expect("taken")


async def test_handlers_run_out_of_time(gateway_client: Clients, gateway_clock: Clock) -> None:
    ann = await gateway_client(Slow.as_asgi()).connect()
    await ann.emit("late")
    await asyncio.sleep(0)
    await gateway_clock.advance(31)
    await ann.expect_error("timeout")


async def test_messages_expire(gateway_layer: LocalChannelLayer, gateway_clock: Clock) -> None:
    await gateway_layer.send("specific.test!own", {"type": "test.message"})
    await gateway_clock.advance(61)
    assert not gateway_layer.channels
