"""Which transport serves a connection: the fastest that its server, as it looks, allows."""

from __future__ import annotations

import logging
import sys
from functools import lru_cache

from arcly_channels.transports import uvicorn
from arcly_channels.transports.asgi import AsgiTransport
from arcly_channels.transports.base import Peer, Transport

logger = logging.getLogger(__name__)

EXTENSION = "arcly_channels"
"""The key in a scope's `extensions` under which `GatewayApplication` passes the server's own."""

_MAX_WRAPPERS = 16


def select_transport(peer: Peer) -> Transport:
    """Return a transport for a connection that was just accepted."""
    peer = _of_server(peer)
    send = peer.send
    if "daphne.server" in sys.modules:  # Never the first to import it: it installs a reactor.
        from arcly_channels.transports import daphne

        protocol = daphne.find_protocol(send)
        if protocol is not None:
            return daphne.DaphneTransport(peer, protocol)
        if daphne.is_serving():
            _warn_of_daphne()
    protocol = uvicorn.find_protocol(send)
    if protocol is not None:
        return uvicorn.UvicornTransport(peer, protocol)
    return AsgiTransport(peer)


def _of_server(peer: Peer) -> Peer:
    """Return `peer` with the server's own callables, from under the usual middleware."""
    given = peer.scope.get("extensions", {}).get(EXTENSION)
    if given is not None:
        scope = {**peer.scope, **given["ends"]}
        return peer._replace(scope=scope, receive=given["receive"], send=given["send"])
    send = peer.send
    for _ in range(_MAX_WRAPPERS):  # Channels' session middleware keeps the one it wraps.
        inner = getattr(getattr(send, "__self__", None), "real_send", None)
        if inner is None:
            break
        send = inner
    return peer._replace(send=send)


@lru_cache(maxsize=1)
def _warn_of_daphne() -> None:
    logger.warning(
        "A gateway runs on Daphne, but its connection cannot be reached through this middleware "
        "(or this version of Daphne): a client that does not read will cost memory without bound. "
        "In asgi.py, put arcly_channels.asgi.GatewayApplication around the whole application."
    )
