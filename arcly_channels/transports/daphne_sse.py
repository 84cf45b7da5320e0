"""The transports for event streams on Daphne, whose `send` does not wait for them either.

Each registers itself as the producer of a response, which is Twisted's own way, and leaves frames
in the outbox while Twisted holds more than 64 KiB for the client. `find_request` returns None for a
Daphne that looks different; a test pins what is used here.
"""

from __future__ import annotations

import asyncio
import math
from typing import Any

from arcly_channels.transports.base import Peer
from arcly_channels.transports.daphne import ProducingTransport, behind
from arcly_channels.transports.daphne_rounds import go_round_in_slices
from arcly_channels.transports.sse import Listened, take_events
from arcly_channels.transports.stream import CHUNK

_NEEDED = ("channel", "finished", "handle_reply", "registerProducer", "request_start", "write")

_POLL = 0.05
"""Seconds between two looks at what HTTP/2 holds for a client that takes less than it may have."""


def find_request(send: object) -> Any | None:
    """Return the request behind Daphne's `send`, or None when that is something else."""
    request = behind(send)
    channel = getattr(request, "channel", None)
    is_known = all(hasattr(request, name) for name in _NEEDED) and (
        hasattr(getattr(channel, "transport", None), "abortConnection") or is_http2(channel)
    )
    return request if is_known else None


def is_left(send: object) -> bool:
    """Return whether Daphne has lost the client of a request, and with it the connection."""
    return getattr(behind(send), "channel", send) is None


def is_http2(channel: Any) -> bool:
    """Return whether a request's channel is one of many streams of a connection."""
    return hasattr(getattr(channel, "_conn", None), "_outboundStreamQueues")


def transport_of(peer: Peer, request: Any) -> DaphneEventTransport:
    kind = Http2EventTransport if is_http2(request.channel) else DaphneEventTransport
    return kind(peer, request)


class DaphneEventTransport(Listened, ProducingTransport):
    """Writes to the response of one of Daphne's requests."""

    _taken = staticmethod(take_events)  # type: ignore[assignment]  # The base's is a method.

    def __init__(self, peer: Peer, request: Any) -> None:
        self._request = request
        self._channel = request.channel
        self._connection = connection = self._channel.transport
        # A TLS connection hands unknown attributes on to the plain one below; its class does not.
        is_plain = connection is None or hasattr(type(connection), "writeSomeData")
        self._plain = connection if is_plain else connection.transport
        super().__init__(peer, getattr(self._plain, "socket", None))
        self._started = request.request_start
        request.request_start = math.inf  # `--http-timeout` is for responses that have an end.
        request.registerProducer(self, True)
        go_round_in_slices(request.server, self._loop)

    async def stop(self) -> None:
        try:
            await super().stop()
        finally:
            self._let_go()

    # For the base

    def _is_open(self) -> bool:
        return not self._request.finished and self._request.channel is not None

    def _is_closed(self) -> bool:
        return not self._connection.connected

    def _write(self, data: bytes) -> None:
        if data:
            self._request.write(data)

    def _send_close(self, code: int, reason: str) -> None:
        """End the response, and the connection once it is sent: nothing else is asked for on it."""
        self._let_go()
        self._channel.persistent = False
        self._request.handle_reply({"type": "http.response.body"})

    def _let_go(self) -> None:
        """Be the producer no more, without which Twisted complains at the end of a response."""
        if self._request.producer is self:
            self._request.request_start = self._started
            self._request.producer = None
            self._channel.unregisterProducer()

    def _pause_reading(self) -> None:
        """Read on: what comes is bounded by Twisted, and that the client leaves is seen by it."""

    def _resume_reading(self) -> None:
        """Do nothing: Twisted may have stopped for a reason of its own."""


class Http2EventTransport(DaphneEventTransport):
    """Does the same over HTTP/2, where Twisted holds as much as the client's window allows.

    A client may open it wide and read nothing, so what Twisted holds is looked at.
    """

    _check: asyncio.TimerHandle | None = None

    async def stop(self) -> None:
        try:
            await super().stop()
        finally:
            if self._check is not None:
                self._check.cancel()

    def unread(self) -> int | None:
        queues = self._channel._conn._outboundStreamQueues
        queue = queues.get(self._channel.streamID, ())
        return sum(len(each) for each in queue if isinstance(each, bytes))

    def _write(self, data: bytes) -> None:
        super()._write(data)
        if (self.unread() or 0) > CHUNK:
            self.pause()
            if self._check is None:
                self._check = self._loop.call_later(_POLL, self._check_queue)

    def _check_queue(self) -> None:
        self._check = None
        if (self.unread() or 0) > CHUNK // 2:
            self._check = self._loop.call_later(_POLL, self._check_queue)
        elif self._is_full:
            self.resume()

    def _is_closed(self) -> bool:
        return self._channel.streamID not in self._channel._conn.streams

    def _abort(self) -> None:
        if not self._is_closed():
            self._channel.abortConnection()
            self._request.connectionLost(None)  # Nobody else tells it, nor Daphne.
