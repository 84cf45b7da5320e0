"""The transport for Daphne: frames go straight to the TCP connection, which says when it is full.

Daphne's `send` never waits: it writes into Twisted's buffer, which has no bound, and its `receive`
reads from a queue that has none either. So this registers itself as the producer of the connection,
leaves frames in the outbox while Twisted holds more than 64 KiB for a slow client, and stops
reading while the application is behind.

It uses private parts of Daphne, autobahn and Twisted. `find_protocol` returns None for a Daphne
that looks different, and then the ASGI transport serves; a test pins what is used here.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial
from typing import Any

from autobahn.websocket.protocol import WebSocketProtocol
from daphne.server import Server
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from arcly_channels.transports.base import Peer
from arcly_channels.transports.stream import StreamTransport

OPEN = WebSocketProtocol.STATE_OPEN


def find_protocol(send: object) -> Any | None:
    """Return the WebSocket protocol behind Daphne's `send`, or None when that is something else."""
    if not (isinstance(send, partial) and len(send.args) == 1):
        return None
    if getattr(send.func, "__func__", None) is not getattr(Server, "handle_reply", send):
        return None
    protocol = send.args[0]
    connection = getattr(protocol, "transport", None)
    is_known = (
        isinstance(protocol, WebSocketProtocol)
        and getattr(protocol, "_perMessageCompress", protocol) is None
        and all(hasattr(protocol, name) for name in ("sendCloseFrame", "onMessage", "onPong"))
        and all(hasattr(connection, name) for name in ("registerProducer", "abortConnection"))
    )
    return protocol if is_known else None


def _inbound_queue(receive: object) -> asyncio.Queue[Any]:
    """Return the queue that Daphne's `receive` reads from; an empty one where it cannot be seen."""
    queue = getattr(receive, "__self__", None)
    return queue if isinstance(queue, asyncio.Queue) else asyncio.Queue()


def is_serving() -> bool:
    """Return whether Daphne is this process' server, and not merely imported."""
    return bool(getattr(sys.modules.get("twisted.internet.reactor"), "running", False))


@implementer(IPushProducer)
class DaphneTransport(StreamTransport):
    """Writes to one of Daphne's WebSocket connections, TLS or not.

    A plain connection with nothing buffered gets its bytes at once, by its socket, which saves the
    reactor two system calls and a turn per delivery: `benchmarks/fanout.py`.
    """

    def __init__(self, peer: Peer, protocol: Any) -> None:
        super().__init__(peer)
        self._protocol = protocol
        self._connection = protocol.transport
        # The class is asked: a TLS connection hands unknown attributes on to the plain one below,
        # and writing there would send our frames unencrypted.
        is_plain = hasattr(type(self._connection), "writeSomeData")
        self._socket = self._connection.getHandle() if is_plain else None
        self._connection.unregisterProducer()  # The HTTP channel's, from before the upgrade.
        self._connection.registerProducer(self, True)
        self._queue = _inbound_queue(peer.receive)
        self._is_reading_paused = False
        protocol.onMessage = self._on_message
        protocol.onPong = self._on_pong
        protocol.onAutoPingTimeout = self._on_ping_timeout

    async def stop(self) -> None:
        await super().stop()
        for name in ("onMessage", "onPong", "onAutoPingTimeout"):
            vars(self._protocol).pop(name, None)

    # Outbound: Twisted's producer interface

    def pauseProducing(self) -> None:  # noqa: N802
        self.pause()

    def resumeProducing(self) -> None:  # noqa: N802
        self.resume()

    def stopProducing(self) -> None:  # noqa: N802
        self.pause()

    def _write(self, data: bytes) -> None:
        connection = self._connection
        if self._protocol.state != OPEN:
            return
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
        self._protocol.sendCloseFrame(code=code, reasonUtf8=reason.encode()[:123])

    def _abort(self) -> None:
        connection = self._connection
        if not connection.connected:
            return
        connection.abortConnection()
        # Twisted and autobahn hold on to each other until the next garbage collection, but need not
        # hold what the client did not read.
        plain = connection if self._socket is not None else connection.transport
        plain._tempDataBuffer.clear()
        plain._tempDataLen = plain.offset = 0
        plain.dataBuffer = b""

    # Inbound

    def received(self) -> None:
        if self._is_reading_paused and self._queue.qsize() <= self._peer.inbound // 2:
            self._is_reading_paused = False
            self._connection.resumeProducing()

    def _on_message(self, payload: bytes, is_binary: bool) -> None:
        type(self._protocol).onMessage(self._protocol, payload, is_binary)
        if not self._is_reading_paused and self._queue.qsize() > self._peer.inbound > 0:
            self._is_reading_paused = True
            self._connection.pauseProducing()

    def _on_pong(self, payload: bytes) -> None:
        type(self._protocol).onPong(self._protocol, payload)
        self._peer.alive()

    def _on_ping_timeout(self) -> None:
        """Spare a client whose pong waits behind frames that we do not read."""
        if self._is_reading_paused:
            self._protocol.autoPingTimeoutCall = None
            self._protocol.autoPingPending = None
        else:
            type(self._protocol).onAutoPingTimeout(self._protocol)
