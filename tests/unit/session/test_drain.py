"""The end of all connections of a server: whom it waits for, and for how long."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from arcly_channels import subscribe
from arcly_channels.exceptions import ServerEnds
from arcly_channels.layers import LocalChannelLayer
from arcly_channels.session import session as module
from arcly_channels.session.drain import Drain, Plan
from arcly_channels.session.guard import Guard, Policy
from arcly_channels.session.limits import places
from arcly_channels.session.session import Session
from arcly_channels.testing import Clock
from arcly_channels.testing.waiting import eventually, soon
from tests.gateways import Recorded, connected
from tests.unit.session.test_session import Application, Wire, allow


class Chat(Recorded):
    """A gateway whose handler takes an hour."""

    @subscribe("work")
    async def work(self, _: object) -> None:
        await self.emit("working")
        await asyncio.sleep(3600)


class Someone:
    """A session that is open: its handler, its goodbye and its socket take what they take."""

    def __init__(self, layer: LocalChannelLayer, *, is_busy: bool = False) -> None:
        self.layer = layer
        self.loop = asyncio.get_running_loop()
        self.transport: Any = self
        self.is_busy = is_busy
        self.is_ending = self.has_ended = self.is_over = False
        self.calls: list[str] = []

    def shut_down(self) -> None:
        self.calls.append("shut down")
        if not self.is_busy:
            self.is_ending = self.has_ended = self.is_over = True

    def cancel(self) -> None:
        self.calls.append("cancel")

    def abort(self) -> None:
        self.calls.append("abort")


@pytest.fixture
def short(settings: Any) -> None:
    settings.ARCLY_CHANNELS = {"DRAIN_DEADLINE": 0.1}


def drain_of(*sessions: Someone) -> Drain:
    return Drain(lambda: sessions)


def test_plan_of_ten_seconds_is_what_the_docs_say() -> None:
    assert Plan.of(0, 10) == (1, 8, 9, 9.5)


@pytest.mark.parametrize("seconds", [0.01, 1, 2.5, 100])
def test_plan_leaves_the_server_time(seconds: float) -> None:
    plan = Plan.of(0, seconds)
    assert 0 < plan.patience < plan.last_call < plan.end < plan.giving_up < seconds


async def test_drain_is_over_when_everybody_has_gone(layer: LocalChannelLayer) -> None:
    everybody = [Someone(layer) for _ in range(3)]
    await soon(drain_of(*everybody).run())
    assert [each.calls for each in everybody] == [["shut down"]] * 3


@pytest.mark.usefixtures("short")
async def test_handler_that_does_not_end_is_cancelled_again_and_again(
    layer: LocalChannelLayer,
) -> None:
    stubborn = Someone(layer, is_busy=True)
    await soon(drain_of(stubborn).run())
    assert stubborn.calls[:3] == ["shut down", "cancel", "cancel"]


@pytest.mark.usefixtures("short")
async def test_goodbye_is_cancelled_at_the_last_call_and_the_socket_at_the_end(
    layer: LocalChannelLayer,
) -> None:
    slow = Someone(layer, is_busy=True)
    slow.is_ending = True
    await soon(drain_of(slow).run())
    assert slow.calls == ["shut down", "cancel", "cancel", "abort"]


@pytest.mark.usefixtures("short")
async def test_those_who_ignore_it_all_are_counted_in_the_log(
    layer: LocalChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    stubborn = [Someone(layer, is_busy=True) for _ in range(2)]
    await soon(drain_of(*stubborn, Someone(layer)).run())
    assert "2 connections did not end in time" in caplog.text


async def test_without_a_deadline_nobody_is_waited_for(
    layer: LocalChannelLayer, settings: Any
) -> None:
    settings.ARCLY_CHANNELS = {"DRAIN_DEADLINE": 0}
    busy = Someone(layer, is_busy=True)
    await soon(drain_of(busy).run())
    assert busy.calls == ["shut down"]


async def test_everybody_is_drained_once_however_many_ask(layer: LocalChannelLayer) -> None:
    one = Someone(layer)
    drain = drain_of(one)
    await soon(asyncio.gather(drain.run(), drain.run()))
    await soon(drain.run())
    assert one.calls == ["shut down"]


async def test_others_get_their_turns_while_many_are_told(
    layer: LocalChannelLayer, gateway_clock: Clock
) -> None:
    class Slow(Someone):
        def shut_down(self) -> None:
            super().shut_down()
            gateway_clock.jump(0.001)

    everybody = [Slow(layer) for _ in range(12)]
    draining = asyncio.ensure_future(drain_of(*everybody).run())
    told = []
    while not draining.done():
        await asyncio.sleep(0)
        told.append(sum(bool(each.calls) for each in everybody))
    assert len(set(told)) > 2


async def test_sessions_of_other_loops_are_left_alone(layer: LocalChannelLayer) -> None:
    other = Someone(layer)
    other.loop = asyncio.new_event_loop()
    await soon(drain_of(other).run())
    other.loop.close()
    assert other.calls == []


# What it means for a session


def asking(layer: LocalChannelLayer) -> Session:
    """Return the session of somebody who comes."""
    return Session(layer, "late!1", Guard(Policy.of(Recorded), {}, layer.closings), Application())


@pytest.fixture
def chat() -> type[Chat]:
    """A gateway that nobody was connected to before."""

    class NewChat(Chat): ...

    return NewChat


@pytest.fixture
def drain(layer: LocalChannelLayer, monkeypatch: pytest.MonkeyPatch) -> Drain:
    """The process' drain, new for this test: one loop is never served again after it."""
    drain = Drain(places.holders)
    monkeypatch.setattr(module, "drain", drain)
    return drain


async def test_who_comes_too_late_is_refused_with_1012(
    layer: LocalChannelLayer, drain: Drain
) -> None:
    await drain.run()
    session = asking(layer)
    with pytest.raises(ServerEnds) as refused:
        await session.ask(allow)
    assert (refused.value.code, places.taken) == (1012, 0)


async def test_who_is_asked_about_when_it_begins_is_refused(
    layer: LocalChannelLayer, drain: Drain
) -> None:
    session = asking(layer)

    async def authorize() -> None:
        asyncio.get_running_loop().create_task(drain.run())
        await eventually(lambda: drain.is_on)

    with pytest.raises(ServerEnds):
        await session.ask(authorize)
    await session.end(1012, never)


async def never(code: int) -> None:
    raise AssertionError(code)


async def test_who_is_accepted_just_then_is_closed_at_once(
    layer: LocalChannelLayer, drain: Drain
) -> None:
    session, wire = asking(layer), Wire()
    await session.ask(allow)
    draining = asyncio.ensure_future(drain.run())
    await eventually(lambda: drain.is_on)
    await session.open(wire)
    assert wire.written == [1012]
    await session.end(1000, say_goodbye)
    await soon(draining)


async def say_goodbye(code: int) -> None: ...


async def test_every_bye_advises_by_the_number_at_the_beginning(
    layer: LocalChannelLayer, drain: Drain, settings: Any, chat: type[Chat]
) -> None:
    settings.ARCLY_CHANNELS = {"RECONNECT_RATE": 1}
    byes = []
    async with (
        connected(chat.as_asgi(), subprotocols=["arcly.v1"]) as one,
        connected(chat.as_asgi(), subprotocols=["arcly.v1"]) as other,
    ):
        await soon(drain.run())
        for socket in (one, other):
            byes.append(await socket.expect("gateway:bye"))
    assert [bye["spread"] for bye in byes] == [2000] * 2


@pytest.mark.usefixtures("short")
async def test_handler_that_is_cut_off_is_no_failure(
    drain: Drain, chat: type[Chat], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)  # On a slow machine there are warnings.
    async with connected(chat.as_asgi()) as socket:
        await socket.emit("work")
        await socket.expect("working", None)
        await soon(drain.run())
        await socket.expect_close(1012)
        await socket.ended()
    assert (chat.disconnects, caplog.text) == ([1012], "")


@pytest.mark.usefixtures("short")
async def test_goodbye_that_is_cut_off_is_none_either(
    layer: LocalChannelLayer, drain: Drain
) -> None:
    class Thoughtful(Chat):
        async def on_disconnect(self, code: int) -> None:
            await super().on_disconnect(code)
            await asyncio.sleep(3600)

    async with connected(Thoughtful.as_asgi()) as socket:
        await soon(drain.run())
        await socket.ended()
    assert (Thoughtful.disconnects, len(layer.registry)) == ([1012], 0)
