"""The transport for any ASGI server: the order of what it sends, and how it closes."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from arcly_channels.fanout.outbox import Outbox
from arcly_channels.fanout.pump import Pump
from arcly_channels.testing.waiting import eventually, soon, turns
from arcly_channels.transports import asgi
from arcly_channels.transports.asgi import SLOW, AsgiTransport
from arcly_channels.transports.base import Peer
from arcly_channels.wire.envelope import Frame


class Server:
    """An ASGI server whose `send` waits while `reads` is not set, and raises what it is told to."""

    def __init__(self) -> None:
        self.reads = asyncio.Event()
        self.reads.set()
        self.error: Exception | None = None
        self.sent: list[Any] = []
        self.abandoned = 0
        self.is_sending = False

    async def send(self, message: dict[str, Any]) -> None:
        assert not self.is_sending, "two sends at once"
        self.is_sending = True
        try:
            await self.reads.wait()
        finally:
            self.is_sending = False
        if self.error is not None:
            raise self.error
        kind = message["type"].removeprefix("websocket.")
        self.sent.append((kind, message.get("text", message.get("bytes", message.get("code")))))

    async def receive(self) -> dict[str, Any]:
        raise NotImplementedError

    def seen(self) -> None: ...

    def is_deaf(self) -> bool:
        return False

    def too_large(self) -> None: ...

    def bothered(self) -> None: ...

    def abandon(self) -> None:
        self.abandoned += 1


def peer_of(server: Server, grace: float) -> Peer:
    return Peer(
        {},
        server.receive,
        server.send,
        grace=grace,
        inbound=64,
        inbound_bytes=0,
        endpoint=server,
    )


@pytest.fixture
async def server() -> Server:
    return Server()


@pytest.fixture
async def transport(server: Server) -> AsgiTransport:
    """A transport that writes to `server`, with a grace of 0.05 seconds."""
    return AsgiTransport(peer_of(server, grace=0.05))


@pytest.fixture
async def outbox(transport: AsgiTransport) -> Outbox:
    return Outbox(Pump(asyncio.get_running_loop()), transport)


@pytest.fixture
def short_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the server but a moment to take a close message."""
    monkeypatch.setattr(asgi, "CLOSE_TIMEOUT", 0.01)


def put(outbox: Outbox, *texts: str) -> None:
    for text in texts:
        outbox.lane.call(outbox.put, Frame.from_text(text))


def close(outbox: Outbox, code: int) -> None:
    outbox.lane.call(outbox.close, code)


async def test_frames_are_sent_in_order(server: Server, outbox: Outbox) -> None:
    put(outbox, "a", "b")
    await eventually(lambda: len(server.sent) == 2)
    put(outbox, "c")
    await eventually(lambda: server.sent == [("send", "a"), ("send", "b"), ("send", "c")])


async def test_binary_frame_is_sent_as_bytes(server: Server, outbox: Outbox) -> None:
    outbox.lane.call(outbox.put, Frame(b"\xff", is_text=False))
    await eventually(lambda: server.sent == [("send", b"\xff")])


async def test_frames_stay_in_the_outbox_while_the_server_waits(
    server: Server, outbox: Outbox
) -> None:
    server.reads.clear()
    put(outbox, "a", "b", "c")
    await turns()
    assert outbox.pending_frames == 2  # One is with the server.
    server.reads.set()
    await eventually(lambda: len(server.sent) == 3)


async def test_close_follows_the_backlog(server: Server, outbox: Outbox) -> None:
    put(outbox, "a", "b")
    close(outbox, 4000)
    await eventually(lambda: server.sent == [("send", "a"), ("send", "b"), ("close", 4000)])


async def test_backlog_of_a_peer_that_is_slow_is_sent_within_the_grace(
    server: Server, outbox: Outbox
) -> None:
    server.reads.clear()
    put(outbox, "a", "b")
    close(outbox, 4000)
    await turns()
    server.reads.set()
    await eventually(lambda: len(server.sent) == 3)


async def test_peer_that_does_not_read_in_the_grace_gets_no_close(
    server: Server, outbox: Outbox
) -> None:
    server.reads.clear()
    put(outbox, "a", "b")
    close(outbox, 4008)
    await eventually(lambda: server.abandoned)
    await eventually(lambda: not server.is_sending)
    assert (server.sent, outbox.pending_frames, server.abandoned) == ([], 0, 1)


async def test_application_is_to_end_with_the_close(server: Server, outbox: Outbox) -> None:
    close(outbox, 4000)
    await eventually(lambda: server.sent)
    assert (server.sent, server.abandoned) == ([("close", 4000)], 1)


async def test_close_is_sent_once(server: Server, outbox: Outbox) -> None:
    close(outbox, 4000)
    close(outbox, 4001)
    outbox.lane.call(outbox.flush)
    await eventually(lambda: server.sent)
    await turns()
    assert (server.sent, server.abandoned) == ([("close", 4000)], 1)


async def test_client_that_is_gone_is_no_error(
    server: Server, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    server.error = ConnectionResetError()
    put(outbox, "a", "b")
    await eventually(lambda: not outbox.pending_frames)
    await turns()
    assert (server.abandoned, caplog.records) == (0, [])


async def test_server_that_refuses_a_frame_is_abandoned(
    server: Server, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    server.error = RuntimeError("Unexpected ASGI message")
    put(outbox, "a", "b")
    await eventually(lambda: server.abandoned)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


async def test_stopped_transport_sends_nothing_more(
    server: Server, transport: AsgiTransport, outbox: Outbox
) -> None:
    server.reads.clear()
    put(outbox, "a", "b")
    await turns()
    await transport.stop()
    server.reads.set()
    put(outbox, "c")
    await turns()
    assert server.sent == []


async def test_stopping_ends_the_send_that_is_under_way(
    server: Server, transport: AsgiTransport, outbox: Outbox
) -> None:
    server.reads.clear()
    put(outbox, "a")
    await eventually(lambda: server.is_sending)
    await transport.stop()
    assert not server.is_sending


async def test_stopping_lets_a_close_get_out(
    server: Server, transport: AsgiTransport, outbox: Outbox
) -> None:
    put(outbox, "a")
    close(outbox, 4000)
    await asyncio.sleep(0)  # The turn in which both are flushed.
    await transport.stop()
    assert server.sent[-1] == ("close", 4000)


@pytest.mark.usefixtures("short_timeout")
async def test_stopping_does_not_wait_for_ever_for_a_close(
    server: Server, transport: AsgiTransport, outbox: Outbox
) -> None:
    server.reads.clear()
    close(outbox, 4000)
    await eventually(lambda: server.is_sending)
    await soon(transport.stop())
    assert not server.sent


async def test_stopping_twice_is_nothing(transport: AsgiTransport) -> None:
    await transport.stop()
    await transport.stop()


async def test_what_was_put_before_the_end_is_out_when_it_is_stopped(
    server: Server, transport: AsgiTransport, outbox: Outbox
) -> None:
    put(outbox, "a", "b")
    close(outbox, 1011)
    outbox.lane.call(outbox.flush)  # All in the turn in which the consumer ends.
    await transport.stop()
    assert server.sent == [("send", "a"), ("send", "b"), ("close", 1011)]


async def test_stopping_waits_for_who_reads_slowly_but_not_for_all_of_the_grace(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asgi, "CLOSE_TIMEOUT", 0.01)
    transport = AsgiTransport(peer_of(server, grace=3600))
    outbox = Outbox(Pump(asyncio.get_running_loop()), transport)
    server.reads.clear()
    put(outbox, "a")
    close(outbox, 1011)
    await turns()
    await soon(transport.stop())
    assert (server.sent, server.is_sending) == ([], False)


@pytest.mark.usefixtures("short_timeout")
async def test_client_that_is_gone_without_a_disconnect_is_let_go(
    server: Server, outbox: Outbox
) -> None:
    server.error = ConnectionResetError()
    put(outbox, "a")
    await eventually(lambda: server.abandoned)
    assert outbox.close_code == 1006


async def test_peer_holds_up_a_transport_whose_server_waits(
    server: Server, transport: AsgiTransport, outbox: Outbox
) -> None:
    server.reads.clear()
    put(outbox, "a")
    await eventually(lambda: transport.held_up() > 0)
    server.reads.set()
    await eventually(lambda: not outbox.pending_frames)
    assert transport.held_up() > SLOW


@pytest.mark.skipif(
    not hasattr(asyncio, "eager_task_factory"), reason="Python 3.12 has the first eager tasks"
)
async def test_writing_goes_on_with_eager_tasks(server: Server, outbox: Outbox) -> None:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
    try:
        for text in ("a", "b", "c"):
            put(outbox, text)
            await turns()
    finally:
        loop.set_task_factory(None)
    assert server.sent == [("send", "a"), ("send", "b"), ("send", "c")]
