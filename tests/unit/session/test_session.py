"""The life of one connection, without a server and without a consumer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from arcly_channels import GatewayConsumer, Refused
from arcly_channels.fanout.outbox import Outbox
from arcly_channels.layers import LocalChannelLayer
from arcly_channels.session.guard import Guard, Policy
from arcly_channels.session.session import Session, State
from arcly_channels.transports.base import Ending


class Wire:
    """A transport that keeps what is written, in the order it came."""

    def __init__(self) -> None:
        self.written: list[object] = []

    def flush(self, outbox: Outbox) -> None:
        while (frame := outbox.take()) is not None:
            self.written.append(frame.text)
        if outbox.close_code is not None and outbox.close_code not in self.written:
            self.written.append(outbox.close_code)

    hears_pongs = True

    def ignore(self) -> None: ...

    def ask(self, outbox: Outbox) -> bool:
        return True

    def held_up(self) -> float:
        return 0.0

    def unread(self) -> int:
        return 0

    def has_left(self) -> bool:
        return False

    def acknowledged(self) -> int:
        return 0

    def silence(self) -> float:
        return 0

    def received(self) -> None: ...

    def hold_server(self, drain: Ending) -> None: ...

    @property
    def is_over(self) -> bool:
        return "stopped" in self.written

    def abort(self) -> None: ...

    async def stop(self) -> None:
        self.written.append("stopped")


class Application:
    """A consumer that ends when it is told to, and never runs."""

    is_busy = False

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def end(self) -> None: ...

    def cancel(self) -> None: ...


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def session(layer: LocalChannelLayer) -> Session:
    guard = Guard(Policy.of(GatewayConsumer), {}, layer.closings)
    return Session(layer, "gateway!1", guard, Application())


@pytest.fixture
def goodbyes() -> list[int]:
    return []


async def allow() -> None: ...


async def live(session: Session, wire: Wire) -> None:
    await session.ask(allow)
    await session.open(wire)


async def test_session_goes_through_its_states_in_order(session: Session, wire: Wire) -> None:
    states = [session.state]
    await session.ask(allow)
    states.append(session.state)
    await session.open(wire)
    states.append(session.state)
    session.close(4000)
    states.append(session.state)

    async def goodbye(code: int) -> None:
        states.append(session.state)

    await session.end(1000, goodbye)
    asking, gone = State.ASKING, State.GONE
    assert states == [asking, asking, State.OPEN, State.CLOSING, gone]


async def test_session_is_closing_once_its_peer_has_left(session: Session, wire: Wire) -> None:
    await live(session, wire)
    assert session.peer_left(1001) == 1001
    assert session.state is State.CLOSING


async def test_session_that_was_refused_says_no_goodbye(
    session: Session, goodbyes: list[int]
) -> None:
    async def refuse() -> None:
        raise Refused(4403)

    with pytest.raises(Refused):
        await session.ask(refuse)
    await session.end(1000, note_in(goodbyes))
    assert goodbyes == []


async def test_session_ends_once(session: Session, wire: Wire, goodbyes: list[int]) -> None:
    await live(session, wire)
    ends = [session.end(code, note_in(goodbyes)) for code in (1000, 1011, 1012)]
    await asyncio.gather(*ends)
    assert goodbyes == [1000]
    assert wire.written == [1000, "stopped"]


async def test_first_close_counts(session: Session, wire: Wire, goodbyes: list[int]) -> None:
    await live(session, wire)
    session.close(4000)
    session.close(4001)
    session.peer_left(1006)
    await session.end(1000, note_in(goodbyes))
    assert goodbyes == [4000]


async def test_what_the_goodbye_sends_comes_before_the_close(session: Session, wire: Wire) -> None:
    async def goodbye(code: int) -> None:
        assert session.client is not None
        await session.client.emit("bye")

    await live(session, wire)
    await session.end(1000, goodbye)
    assert wire.written == ['{"event":"bye","data":null}', 1000, "stopped"]


async def test_closing_what_is_not_open_does_nothing(session: Session) -> None:
    session.close(4000)
    session.shut_down()
    session.seen()
    assert session.state is State.ASKING


async def test_nothing_is_registered_when_a_session_has_ended(
    session: Session, wire: Wire, layer: LocalChannelLayer
) -> None:
    await live(session, wire)
    with pytest.raises(LookupError):
        await session.end(1000, failing)
    assert len(layer.registry) == 0
    assert wire.written == [1000, "stopped"]


async def failing(code: int) -> None:
    raise LookupError


def note_in(goodbyes: list[int]) -> Any:
    async def goodbye(code: int) -> None:
        goodbyes.append(code)

    return goodbye
