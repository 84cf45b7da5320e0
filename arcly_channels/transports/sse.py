"""What the transports of event streams share, and the one for any ASGI server.

A stream is the body of an HTTP response. uvicorn's, hypercorn's and granian's `send` waits while
the client does not read, so that what is left stays in the outbox; Daphne's does not.
"""

from __future__ import annotations

from collections.abc import Callable
from operator import attrgetter

from arcly_channels.fanout.outbox import Outbox
from arcly_channels.transports.asgi import AsgiTransport
from arcly_channels.transports.base import Peer, ServerMessage, ask_by_event
from arcly_channels.transports.stream import CHUNK

_event = attrgetter("event")


def take_events(outbox: Outbox, limit: int) -> bytes:
    """Remove frames of about `limit` bytes, at least one; return them as server-sent events.

    Returns nothing when nothing waits.
    """
    return b"".join(map(_event, outbox.take_batch(limit)))


class Listened:
    """The sign of life of a client that cannot send anything: its system takes what is sent."""

    hears_pongs = True  # As far as the client is concerned, which must not answer.

    acknowledged: Callable[[], int | None]
    _peer: Peer
    _before: int | None = None

    def ask(self, outbox: Outbox) -> bool:
        """Send a ping, and look whether the one before has arrived."""
        acknowledged, is_behind = self.acknowledged(), bool(outbox.frames)
        if acknowledged != self._before:
            self._before = acknowledged
            self._peer.endpoint.seen()
        was_asked = ask_by_event(outbox, self._peer.endpoint)
        # Who takes nothing of what waits is found by that, and not by silence.
        return was_asked and acknowledged is not None and not is_behind


class AsgiEventTransport(Listened, AsgiTransport):
    """Writes one stream's outbox with `send`, as much at a time as a client soon takes."""

    def _next(self, outbox: Outbox) -> ServerMessage | None:
        events = take_events(outbox, CHUNK)
        return {"type": "http.response.body", "body": events, "more_body": True} if events else None

    def _last(self, code: int, reason: str) -> ServerMessage:
        return {"type": "http.response.body", "body": b"", "more_body": False}

    async def _hear_out(self) -> None:
        """Take nothing more: the client has nothing to answer."""

    def _is_open(self) -> bool:
        owner = getattr(self._peer.send, "__self__", None)
        return not (getattr(owner, "disconnected", False) or getattr(owner, "closed", False))
