"""What writes straight to a connection: when it reads, answers, gives up, and lets a close out."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from arcly_channels.fanout.outbox import Outbox
from arcly_channels.fanout.pump import Pump
from arcly_channels.testing.waiting import eventually, soon, turns
from arcly_channels.transports import stream
from arcly_channels.transports.base import Peer
from arcly_channels.transports.stream import StreamTransport
from arcly_channels.wire.envelope import Frame


class Connection(StreamTransport):
    """A connection that takes everything while it is not paused, and notes what happens to it."""

    def __init__(self) -> None:
        self.happened: list[Any] = []
        self.is_open, self.is_broken = True, False
        super().__init__(
            Peer(
                {},
                None,  # type: ignore[arg-type]
                None,  # type: ignore[arg-type]
                grace=60,
                inbound=0,
                inbound_bytes=0,
                endpoint=self,
            ),
            None,
        )

    def seen(self) -> None: ...

    def is_deaf(self) -> bool:
        return False

    def too_large(self) -> None: ...

    def bothered(self) -> None: ...

    def abandon(self) -> None:
        self.happened.append("abandoned")

    def _is_open(self) -> bool:
        return self.is_open

    def _write(self, data: bytes) -> None:
        if self.is_broken:
            raise RuntimeError("a bug")
        if data:
            self.happened.append(data[2:].decode())

    def _send_close(self, code: int, reason: str) -> None:
        self.happened.append(code)

    def _abort(self) -> None:
        self.happened.append("aborted")

    def _answer(self, *ping: Any) -> None:
        self.happened.append(ping)

    def _pause_reading(self) -> None:
        self.happened.append("stopped reading")

    def _resume_reading(self) -> None:
        self.happened.append("reads")


@pytest.fixture
async def connection() -> Connection:
    return Connection()


@pytest.fixture
async def outbox(connection: Connection) -> Outbox:
    return Outbox(Pump(asyncio.get_running_loop()), connection)


@pytest.fixture
def no_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give a peer no time to answer a close."""
    monkeypatch.setattr(stream, "CLOSE_TIMEOUT", 0)


def put(outbox: Outbox, text: str) -> None:
    outbox.lane.call(outbox.put, Frame.from_text(text))


async def test_only_the_newest_ping_is_answered_when_the_connection_is_not_full_any_more(
    connection: Connection,
) -> None:
    connection.pause()
    connection._on_ping(b"1")
    connection._on_ping(b"2")
    connection.resume()
    assert connection.happened == ["stopped reading", "stopped reading", "reads", (b"2",)]


async def test_nothing_more_is_read_from_who_is_ignored(connection: Connection) -> None:
    connection.ignore()
    connection.pause()
    connection.resume()
    assert connection.happened == ["stopped reading"]


async def test_ping_is_answered_at_once_while_the_connection_takes_it(
    connection: Connection,
) -> None:
    connection._on_ping(b"1")
    assert connection.happened == [(b"1",)]


async def test_peer_holds_up_a_connection_that_is_full_until_it_takes_more(
    connection: Connection,
) -> None:
    connection.pause()
    await eventually(lambda: connection.held_up() > 0)
    connection.resume()
    held_up = connection.held_up()
    await asyncio.sleep(0.001)
    assert connection.held_up() == held_up > 0


async def test_failure_after_a_pause_closes_that_connection(
    connection: Connection, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    connection.pause()
    put(outbox, "lost")
    await turns()
    connection.is_broken = True
    connection.resume()
    connection.is_broken = False
    await turns()
    assert connection.happened == ["reads", 1011]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@pytest.mark.usefixtures("no_timeout")
@pytest.mark.parametrize("is_full", [False, True])
async def test_client_that_its_server_has_given_up_is_let_go(
    connection: Connection, outbox: Outbox, is_full: bool
) -> None:
    if is_full:
        connection.pause()
    connection.is_open = False
    put(outbox, "to nobody")
    await eventually(lambda: connection.happened)
    assert connection.happened == ["aborted", "abandoned"]
    assert (outbox.close_code, outbox.pending_frames) == (1006, 0)


async def test_stopping_lets_the_backlog_and_the_close_out(
    connection: Connection, outbox: Outbox
) -> None:
    connection.pause()
    put(outbox, "last")
    outbox.lane.call(outbox.close, 1011)
    await turns()
    stopping = asyncio.create_task(connection.stop())
    await turns()
    connection.resume()
    await soon(stopping)
    assert connection.happened == ["reads", "last", 1011]


@pytest.mark.usefixtures("no_timeout")
async def test_stopping_does_not_wait_for_ever_for_a_backlog(
    connection: Connection, outbox: Outbox
) -> None:
    connection.pause()
    put(outbox, "last")
    outbox.lane.call(outbox.close, 1011)
    await turns()
    await soon(connection.stop())
    assert connection.happened == ["aborted"]


@pytest.mark.usefixtures("no_timeout")
async def test_socket_that_its_server_closes_and_the_client_does_not_empty_is_aborted(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StreamTransport, "unread", lambda _: 1)
    await connection.stop()
    await eventually(lambda: connection.happened == ["aborted"])
