"""The sign of life of those who listen: their system takes the pings that they cannot answer."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from arcly_channels.fanout.outbox import Outbox
from arcly_channels.transports.base import Peer
from arcly_channels.transports.sse import AsgiEventTransport, Listened, take_events
from arcly_channels.wire.envelope import Frame
from arcly_channels.wire.protocol import V1


class Endpoint:
    """What a session is to a transport."""

    def __init__(self) -> None:
        self.signs = 0

    def seen(self) -> None:
        self.signs += 1

    def is_deaf(self) -> bool:
        return False

    def abandon(self) -> None: ...


class Line(Listened):
    """A transport whose peer has acknowledged so many bytes."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.taken: int | None = 0
        self.acknowledged = lambda: self.taken
        self._peer: Any = type("Peer", (), {"endpoint": endpoint})


def outbox() -> Outbox:
    return Outbox(dialect=V1(lambda: 0))


def test_ping_that_has_arrived_is_a_sign_of_life() -> None:
    endpoint = Endpoint()
    line, box = Line(endpoint), outbox()
    assert line.ask(box) is True
    assert box.pending_frames == 1
    box.discard()
    for taken, signs in [(0, 1), (50, 2), (50, 2), (100, 3)]:
        line.taken = taken
        assert line.ask(box) is True
        box.discard()
        assert endpoint.signs == signs


def test_silence_of_who_is_behind_says_nothing() -> None:
    line, box = Line(Endpoint()), outbox()
    box.put(Frame.from_text("{}"))
    assert line.ask(box) is False


def test_silence_says_nothing_where_the_system_does_not_show_what_arrives() -> None:
    line, box = Line(Endpoint()), outbox()
    line.taken = None
    assert line.ask(box) is False
    assert box.pending_frames == 1  # It is sent all the same.


def test_events_are_taken_up_to_a_size() -> None:
    box = outbox()
    for text in ("a" * 40, "b" * 40, "c" * 40):
        box.put(Frame.from_text(text))
    assert take_events(box, 60) == b"data: %b\n\ndata: %b\n\n" % (b"a" * 40, b"b" * 40)
    assert take_events(box, 60) == b"data: %b\n\n" % (b"c" * 40)
    assert take_events(box, 60) == b""


@pytest.mark.parametrize("fate", ["disconnected", "closed"])
async def test_nothing_is_sent_to_a_client_that_its_server_has_given_up(fate: str) -> None:
    class Cycle:
        sent: list[Any] = []  # noqa: RUF012

        async def send(self, message: Any) -> None:
            self.sent.append(message)

    cycle = Cycle()
    setattr(cycle, fate, True)
    peer = Peer({}, cycle.send, cycle.send, 1, 0, 0, Endpoint())  # type: ignore[arg-type]
    transport, box = AsgiEventTransport(peer), outbox()
    box.put(Frame.from_text("{}"))
    transport.flush(box)
    await asyncio.sleep(0)
    assert (cycle.sent, box.pending_frames) == ([], 0)
    await transport.stop()
