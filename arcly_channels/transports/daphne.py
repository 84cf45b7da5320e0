"""The transport for Daphne: frames go straight to the TCP connection, which says when it is full.

Daphne's `send` never waits: it writes into Twisted's buffer, which has no bound, and its `receive`
reads from a queue that has none either. So this registers itself as the producer of the connection,
leaves frames in the outbox while Twisted holds more than 64 KiB for a slow client, and stops
reading while the application or the client is behind.

It uses private parts of Daphne, autobahn and Twisted. `find_protocol` returns None for a Daphne
that looks different, and then the ASGI transport serves; a test pins what is used here.
"""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

from autobahn.websocket.protocol import WebSocketProtocol
from daphne.server import Server
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from arcly_channels.fanout.outbox import Outbox
from arcly_channels.transports.base import TINY, Ending, Peer, Reading
from arcly_channels.transports.daphne_rounds import go_round_in_slices
from arcly_channels.transports.stream import StreamTransport, drop_messages, join_fragments

OPEN, CLOSED = WebSocketProtocol.STATE_OPEN, WebSocketProtocol.STATE_CLOSED

_HOOKED = (
    *("dataReceived", "onMessage", "onMessageFrameBegin", "onPing", "onPong"),
    "_max_message_size_exceeded",
)
_NEEDED = (
    *("sendCloseFrame", "muted", "last_ping", "maxMessagePayloadSize", "failedByMe"),
    "_dataReceived",
    *_HOOKED,
)

PING = b"\x89\x00"
"""A ping without a payload (RFC 6455, section 5.5.2)."""
READ_SIZE = 8 * 1024
"""Bytes that are read at a time, of which autobahn handles every frame before anybody has a turn.

Twisted's 64 KiB hold 8,000 empty frames, which take 70 ms: `benchmarks/neighbours.py`.
"""


def behind(send: object) -> Any | None:
    """Return what Daphne's `send` is of, or None when that is something else."""
    if not (isinstance(send, partial) and len(send.args) == 1):
        return None
    if getattr(send.func, "__func__", None) is not getattr(Server, "handle_reply", send):
        return None
    return send.args[0]


def find_protocol(send: object) -> Any | None:
    """Return the WebSocket protocol behind Daphne's `send`, or None when that is something else."""
    protocol = behind(send)
    connection = getattr(protocol, "transport", None)
    is_known = (
        isinstance(protocol, WebSocketProtocol)
        and getattr(protocol, "_perMessageCompress", protocol) is None
        and all(hasattr(protocol, name) for name in _NEEDED)
        and all(hasattr(connection, name) for name in ("registerProducer", "abortConnection"))
    )
    return protocol if is_known else None


def reading_of(send: object) -> Reading | None:
    """Return how to keep Daphne from reading a connection; None where it is not known."""
    protocol = find_protocol(send)
    if protocol is None:
        return None
    connection = protocol.transport
    return Reading(connection.pauseProducing, connection.resumeProducing)


def _inbound_queue(receive: object) -> asyncio.Queue[Any]:
    """Return the queue that Daphne's `receive` reads from; an empty one where it cannot be seen."""
    queue = getattr(receive, "__self__", None)
    return queue if isinstance(queue, asyncio.Queue) else asyncio.Queue()


def is_serving() -> bool:
    """Return whether Daphne serves the running loop, and is not merely imported, or elsewhere."""
    reactor = sys.modules.get("twisted.internet.reactor")
    loop = getattr(reactor, "_asyncioEventloop", None)
    is_here = loop is None or loop is asyncio.get_running_loop()
    return is_here and bool(getattr(reactor, "running", False))


@implementer(IPushProducer)
class ProducingTransport(StreamTransport):
    """What all transports on Daphne are to Twisted: the producer of a connection, TLS or not."""

    _connection: Any
    _plain: Any
    """The same, or the TCP connection below it."""

    def hold_server(self, drain: Ending) -> None:
        super().hold_server(drain)
        _hold_reactor(drain)

    # Twisted's producer interface

    def pauseProducing(self) -> None:  # noqa: N802
        self.pause()

    def resumeProducing(self) -> None:  # noqa: N802
        self.resume()

    def stopProducing(self) -> None:  # noqa: N802
        self.pause()

    def _abort(self) -> None:
        if self._connection.connected:
            self._connection.abortConnection()
            # Twisted and Daphne hold on to each other until the next garbage collection, but need
            # not hold what the client did not read.
            plain = self._plain
            plain._tempDataBuffer.clear()
            plain._tempDataLen = plain.offset = 0
            plain.dataBuffer = b""


class DaphneTransport(ProducingTransport):
    """Writes to one of Daphne's WebSocket connections, TLS or not.

    A plain connection with nothing buffered gets its bytes at once, by its socket, which saves the
    reactor two system calls and a turn per delivery: `benchmarks/fanout.py`.
    """

    hears_pongs = True

    def __init__(self, peer: Peer, protocol: Any) -> None:
        self._protocol = protocol
        self._connection = protocol.transport
        # The class is asked: a TLS connection hands unknown attributes on to the plain one below,
        # and writing there would send our frames unencrypted.
        is_plain = hasattr(type(self._connection), "writeSomeData")
        self._plain = self._connection if is_plain else self._connection.transport
        bottom = getattr(self._plain, "socket", None)  # None: the client has left already.
        super().__init__(peer, bottom)
        self._socket = bottom if is_plain else None
        if bottom is not None:
            self._plain.bufferSize = READ_SIZE
        self._queue = _inbound_queue(peer.receive)
        self._sizes: list[int] = []
        self._inbound_bytes = 0
        self._is_reading_paused = self._is_asked = False
        self._connection.unregisterProducer()  # The HTTP channel's, from before the upgrade.
        self._connection.registerProducer(self, True)
        for name, hook in self._hooks():
            setattr(protocol, name, hook)
        go_round_in_slices(protocol.server, self._loop)
        # The heartbeat asks: Daphne would close a client whose pong is not read yet.
        protocol.last_ping = math.inf
        if peer.message_bytes:
            protocol.maxMessagePayloadSize, protocol.maxFramePayloadSize = peer.message_bytes, 0

    def _hooks(self) -> list[tuple[str, Callable[..., None]]]:
        return [
            # autobahn's own formats a line for its log first, even where nobody logs.
            ("dataReceived", self._on_data),
            ("onMessage", self._on_message),
            ("onMessageFrameBegin", self._on_frame),
            ("onPing", self._on_ping),
            ("onPong", self._on_pong),
            ("_max_message_size_exceeded", self._on_too_large),
        ]

    def ignore(self) -> None:
        super().ignore()
        drop_messages(self._queue)

    async def stop(self) -> None:
        try:
            await super().stop()
        finally:
            for name, _ in self._hooks():
                vars(self._protocol).pop(name, None)
            self._protocol.muted = True  # Nobody will take what the client goes on sending.
            self._resume_reading()  # It answers our close, maybe behind that.

    # Outbound

    def _is_open(self) -> bool:
        return bool(self._protocol.state == OPEN)

    def _is_closed(self) -> bool:
        return bool(self._protocol.state == CLOSED)

    def _write(self, data: bytes) -> None:
        connection = self._connection
        if self._socket is None or connection._tempDataLen or connection.dataBuffer:
            connection.write(data)
            return
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            connection.abortConnection()  # The client is gone.
            return
        if sent < len(data):
            connection.write(data[sent:])

    def _send_close(self, code: int, reason: str) -> None:
        # autobahn's own timeout lasts anything from no time to a second, and its `sendClose` knows
        # only 1000 and 3000 to 4999.
        self._protocol.closeHandshakeTimeout = 0
        self._protocol.sendCloseFrame(code=code, reasonUtf8=reason.encode())

    def ask(self, outbox: Outbox) -> bool:
        if not self._is_full and self._is_open():
            self._write(PING)
            self._is_asked = True
        super().ask(outbox)
        # Who takes nothing of what fills the connection is found by that, and not by silence.
        return not (self._is_reading_paused or self._is_full)

    # Inbound

    def received(self) -> None:
        taken = len(self._sizes) - self._queue.qsize()
        if taken > 0:
            self._inbound_bytes -= sum(self._sizes[:taken])
            del self._sizes[:taken]
        self._resume_reading()

    def _on_data(self, data: bytes) -> None:
        type(self._protocol)._dataReceived(self._protocol, data)
        join_fragments(getattr(self._protocol, "message_data", None) or [])

    def _on_message(self, payload: bytes, is_binary: bool) -> None:
        type(self._protocol).onMessage(self._protocol, payload, is_binary)
        self._sizes.append(len(payload))
        self._inbound_bytes += len(payload)
        if self._is_full or not self._is_inbound_within(1):
            self._pause_reading()

    def _on_frame(self, size: int) -> None:
        protocol = self._protocol
        type(protocol).onMessageFrameBegin(protocol, size)
        if size < TINY and not protocol.current_frame.opcode:
            self._peer.endpoint.bothered()

    def _on_too_large(self, *_: object) -> None:
        """Close in an orderly way, where autobahn would drop the connection, and take no more."""
        self._protocol.failedByMe = True  # It reads on, and keeps none of it.
        self._peer.endpoint.too_large()

    def _is_inbound_within(self, part: int) -> bool:
        """Return whether what waits for the application is within one `part` of its bounds."""
        frames, size = self._peer.inbound, self._peer.inbound_bytes
        return self._is_stopped or (
            (not frames or self._queue.qsize() <= frames // part)
            and (not size or self._inbound_bytes <= size // part)
        )

    def _pause_reading(self) -> None:
        if not self._is_reading_paused:
            self._is_reading_paused = True
            self._connection.pauseProducing()

    def _resume_reading(self) -> None:
        is_wanted = not (self._is_full or self._is_ignored)
        if self._is_reading_paused and is_wanted and self._is_inbound_within(2):
            self._is_reading_paused = False
            self._connection.resumeProducing()

    def _answer(self, *ping: Any) -> None:
        type(self._protocol).onPing(self._protocol, *ping)

    def _on_pong(self, payload: bytes) -> None:
        type(self._protocol).onPong(self._protocol, payload)
        self._peer.endpoint.seen()
        if not self._is_asked:
            self._peer.endpoint.bothered()
        self._is_asked = False


@lru_cache(maxsize=1)
def _hold_reactor(drain: Ending) -> None:
    """Have the reactor wait for `drain` where it stops without a signal.

    Daphne has cancelled its applications then.
    """
    from twisted.internet import reactor

    def end() -> Deferred[None]:
        return Deferred.fromFuture(asyncio.ensure_future(drain()))

    reactor.addSystemEventTrigger("before", "shutdown", end)
