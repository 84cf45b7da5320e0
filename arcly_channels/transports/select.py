"""Which transport serves a connection: the fastest that its server, as it looks, allows."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from arcly_channels.close_codes import shortened
from arcly_channels.transports import uvicorn
from arcly_channels.transports.asgi import AsgiTransport
from arcly_channels.transports.base import Peer, Send, ServerMessage, Transport
from arcly_channels.transports.sse import AsgiEventTransport

logger = logging.getLogger(__name__)

EXTENSION = "arcly_channels"
"""The key in a scope's `extensions` under which `GatewayApplication` passes the server's own."""

_MAX_WRAPPERS = 16


def select_transport(peer: Peer) -> Transport:
    """Return a transport for a connection that was just accepted."""
    peer = _of_server(peer)
    if _is_daphne_loaded():
        from arcly_channels.transports import daphne

        protocol = daphne.find_protocol(peer.send)
        if protocol is not None:
            return daphne.DaphneTransport(peer, protocol)
        if daphne.is_serving():
            _warn_of_daphne()
    protocol = uvicorn.find_protocol(peer.send)
    if protocol is not None and protocol.handshake_complete:
        return uvicorn.UvicornTransport(peer, protocol)
    return AsgiTransport(peer)


def select_event_transport(peer: Peer) -> Transport:
    """Return a transport for an event stream, of whose response the start was sent."""
    peer = _of_server(peer)
    if _is_daphne_loaded():
        from arcly_channels.transports import daphne, daphne_sse

        request = daphne_sse.find_request(peer.send)
        if request is not None:
            return daphne_sse.transport_of(peer, request)
        if daphne.is_serving() and not daphne_sse.is_left(peer.send):
            _warn_of_daphne()
    return AsgiEventTransport(peer)


@contextmanager
def unheard(scope: ServerMessage, send: Send) -> Iterator[None]:
    """Read nothing meanwhile from a client that is not accepted yet, where the server lets us.

    uvicorn would parse all of it at once, and Daphne would keep it, without bound, to do so when
    the client is accepted.
    """
    send = _send_of_server(scope, send)
    reading = uvicorn.reading_of(send)
    if reading is None and _is_daphne_loaded():
        from arcly_channels.transports import daphne

        reading = daphne.reading_of(send)
    if reading is None:
        yield
        return
    reading.pause()
    try:
        yield
    finally:
        reading.resume()


def send_close(scope: Mapping[str, Any], send: Send, code: int, reason: str) -> bool:
    """Close an accepted socket that has no transport, on Daphne, whose `send` knows few codes.

    Returns False where this is not Daphne, and `send` takes them all.
    """
    if not _is_daphne_loaded():
        return False
    from arcly_channels.transports import daphne

    protocol = daphne.find_protocol(_send_of_server(scope, send))
    if protocol is None:
        return False
    protocol.sendCloseFrame(code=int(code), reasonUtf8=shortened(reason).encode())
    return True


def _is_daphne_loaded() -> bool:
    """Return whether Daphne may be asked: never be the first to import it and its reactor."""
    return "daphne.server" in sys.modules


def _of_server(peer: Peer) -> Peer:
    """Return `peer` with the server's own callables, from under the usual middleware."""
    given = peer.scope.get("extensions", {}).get(EXTENSION)
    if given is not None:
        peer = peer._replace(scope={**peer.scope, **given["ends"]}, receive=given["receive"])
    return peer._replace(send=_send_of_server(peer.scope, peer.send))


def _send_of_server(scope: Mapping[str, Any], send: Send) -> Send:
    given = scope.get("extensions", {}).get(EXTENSION)
    if given is not None:
        send = given["send"]
    for _ in range(_MAX_WRAPPERS):  # Channels' session middleware keeps the one it wraps.
        inner = getattr(getattr(send, "__self__", None), "real_send", None)
        if inner is None:
            break
        send = inner
    return send


@lru_cache(maxsize=1)
def _warn_of_daphne() -> None:
    logger.warning(
        "A gateway runs on Daphne, but its connection cannot be reached through this middleware "
        "(or this version of Daphne): a client that does not read will cost memory without bound. "
        "In asgi.py, put arcly_channels.asgi.GatewayApplication around the whole application."
    )
