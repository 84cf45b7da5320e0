"""How what a client sends reaches uvicorn's parsers: a slice in a turn, and no faster than it goes.

The protocols are uvicorn's own, on a connection that is made up.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from itertools import pairwise
from types import CoroutineType, FrameType
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol
from uvicorn.server import ServerState

from arcly_channels.testing.waiting import eventually, soon, turns
from arcly_channels.transports import uvicorn as transports
from arcly_channels.transports.base import Peer
from arcly_channels.transports.select import unheard
from arcly_channels.transports.uvicorn import SLICE, UvicornTransport
from benchmarks.wire import client_frame
from tests.integration.stalled import fragments

CONTINUATION, TEXT, BINARY, CLOSE, PING = 0, 1, 2, 8, 9
PONG = b"\x8a\x00"
LARGEST = 1_000_000
HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Line(asyncio.Transport):
    """A connection that notes what is written to it, and whether it would be read from."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.reads, self.is_closed = True, False

    def write(self, data: Any) -> None:
        self.written += data

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    abort = close


class Served:
    """A client that was accepted; the application receives when it is told to."""

    def __init__(self, kind: type[Any]) -> None:
        config = uvicorn.Config(self.application, interface="asgi3", log_config=None)
        config.load()
        self.line = Line()
        self.ends = asyncio.Event()
        self.bothers = 0
        self.is_too_large = False
        self.protocol = kind(config, ServerState(), {})
        self.protocol.connection_made(self.line)
        self.protocol.data_received(HANDSHAKE)

    async def application(self, _: Any, receive: Any, send: Any) -> None:
        await receive()
        with unheard({}, send):
            self.read_before = self.line.reads
        await send({"type": "websocket.accept"})
        peer = Peer(
            {}, receive, send, 1, inbound=0, inbound_bytes=0, endpoint=self, message_bytes=LARGEST
        )
        self.line.written = b""
        self.transport = UvicornTransport(peer, self.protocol)
        await self.ends.wait()

    def seen(self) -> None: ...

    def is_deaf(self) -> bool:
        return False

    def too_large(self) -> None:
        self.is_too_large = True

    def bothered(self) -> None:
        self.bothers += 1

    def abandon(self) -> None:
        self.ends.set()

    shut_down = abandon

    async def receive(self) -> Any:
        message = await soon(self.protocol.receive())
        self.transport.received()
        return message

    def gets(self, data: bytes) -> None:
        """Get what one read from the socket gave."""
        self.protocol.data_received(data)


@pytest.fixture(params=[WebSocketsSansIOProtocol, WSProtocol])
async def served(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Served]:
    monkeypatch.setattr(transports, "TURN", 0)  # However fast this machine is.
    served = Served(request.param)
    await eventually(lambda: hasattr(served, "transport"))
    yield served
    served.ends.set()
    await turns()


async def test_nothing_is_read_before_a_client_is_accepted(served: Served) -> None:
    assert not served.read_before
    assert served.line.reads


async def test_much_that_is_read_at_once_is_parsed_in_turns(served: Served) -> None:
    number, in_turns = 5 * SLICE, [0]
    served.gets(client_frame(b"", PING) * number)
    while in_turns[-1] < number:
        in_turns.append(served.line.written.count(PONG))
        await asyncio.sleep(0)
    most = max(after - before for before, after in pairwise(in_turns))
    assert most <= SLICE // len(client_frame(b"", PING)) + 1


async def test_nothing_more_is_read_until_all_is_parsed(served: Served) -> None:
    served.gets(client_frame(b"", PING) * SLICE)
    while served.line.written.count(PONG) < SLICE:
        assert not served.line.reads
        await asyncio.sleep(0)
    await eventually(lambda: served.line.reads)


async def test_no_more_is_parsed_while_the_application_is_busy(served: Served) -> None:
    number = 2 * SLICE
    served.gets(client_frame(b"", TEXT) * number)
    await turns()
    assert served.protocol.queue.qsize() <= SLICE // len(client_frame(b"", TEXT)) + 1
    for _ in range(number):
        assert (await served.receive())["text"] == ""
    await eventually(lambda: served.line.reads)


async def test_no_more_is_parsed_while_the_client_does_not_read(served: Served) -> None:
    served.transport.pause()
    served.gets(client_frame(b"", PING) * SLICE)
    await turns(20)
    assert served.transport._unparsed
    assert not served.line.written
    served.transport.resume()
    await eventually(lambda: served.line.reads)
    assert served.line.written


@pytest.mark.parametrize(("opcode", "key", "kind"), [(TEXT, "text", str), (BINARY, "bytes", bytes)])
async def test_message_of_many_fragments_arrives_whole(
    served: Served, opcode: int, key: str, kind: type[Any]
) -> None:
    served.gets(fragments(opcode, 3 * SLICE))
    message = await served.receive()
    assert type(message[key]) is kind
    assert message[key] == ("x" if kind is str else b"x") * (3 * SLICE)


async def test_answer_to_a_ping_is_none_that_counts(served: Served) -> None:
    served.protocol.send_keepalive_ping()
    pong = client_frame(served.protocol.pending_ping_payload, 10)
    served.gets(pong)
    assert served.bothers == 0
    served.gets(pong)
    assert served.bothers == 1


async def test_pings_and_fragments_count_where_they_are_tiny(served: Served) -> None:
    served.gets(client_frame(b"", PING) * 2)
    assert served.bothers == 2
    large = client_frame(b"x" * 128, TEXT)[1:]
    served.gets(bytes([TEXT]) + large + b"\x00" + large + b"\x80" + large)
    assert served.bothers == 2
    served.gets(fragments(TEXT, 12))
    assert served.bothers == 2 + 11


async def test_what_came_before_a_close_of_this_side_is_parsed_up_to_the_answer(
    served: Served,
) -> None:
    served.protocol.close_timeout = 60
    served.gets(client_frame(b"", TEXT) * SLICE + client_frame(b"\x0f\xa0", CLOSE))
    served.transport._send_close(4000, "")
    await eventually(lambda: served.line.is_closed)


async def test_what_waits_is_dropped_when_the_connection_closes(served: Served) -> None:
    served.gets(client_frame(b"", PING) * SLICE)
    written = len(served.line.written)
    served.line.close()
    await eventually(lambda: not served.transport._unparsed)
    assert len(served.line.written) == written


async def test_failure_of_the_parser_ends_the_connection(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise LookupError("a bug")

    problems: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, about: problems.append(about))
    served.gets(client_frame(b"", PING) * SLICE)
    monkeypatch.setattr(type(served.protocol), "data_received", fail)
    await eventually(lambda: served.line.is_closed)
    assert isinstance(problems[0]["exception"], LookupError)


async def test_nothing_of_what_came_stays_with_a_client_that_is_not_heard(served: Served) -> None:
    served.gets(client_frame(b"x" * 5000, BINARY))
    payload = (await served.receive())["bytes"]
    served.transport.ignore()
    assert referrers(payload) == []


async def test_nothing_stays_of_a_message_that_was_too_large() -> None:
    served = Served(WebSocketsSansIOProtocol)
    await eventually(lambda: hasattr(served, "transport"))
    first = client_frame(b"x" * (LARGEST // 2), BINARY)
    served.gets(bytes([BINARY]) + first[1:])  # Without the bit that says that it is the last.
    await eventually(lambda: served.protocol.frames)
    payload = served.protocol.frames[0]
    served.gets(client_frame(b"x" * LARGEST, CONTINUATION))
    await eventually(lambda: served.is_too_large)
    served.transport.abort()
    served.protocol.frames.clear()
    assert referrers(payload) == []
    served.ends.set()
    await turns()


def referrers(payload: bytes) -> list[object]:
    """Return what refers to a payload, but for the test that asks."""
    tests = (CoroutineType, FrameType)
    return [each for each in gc.get_referrers(payload) if not isinstance(each, tests)]
