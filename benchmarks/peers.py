"""Who takes part in a comparison: an application on a server, and which packages that needs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

from . import channels_redis
from .wire import Chanx, Dialect, Envelopes, SocketIO

_APPLICATIONS = {
    "ours": ("arcly_channels", ("arcly_channels", "channels")),
    "rooms": ("arcly_channels", ("arcly_channels", "channels")),
    "sse": ("arcly_channels, event streams", ("arcly_channels", "channels")),
    "stock": ("Channels + InMemory", ("channels",)),
    "stock_sse": ("Channels + InMemory, event streams", ("channels",)),
    "bare": ("bare ASGI", ()),
    "socketio": ("python-socketio", ("socketio",)),
    "broadcast": ("websockets.broadcast()", ("websockets",)),
    "typed": ("arcly_channels, typed", ("arcly_channels", "channels", "pydantic")),
    "untyped": ("arcly_channels, untyped", ("arcly_channels", "channels", "pydantic")),
    "chanx": ("chanx", ("chanx", "humps", "channels", "rest_framework")),
}
_DIALECTS: dict[str, Callable[[], Dialect]] = {"socketio": SocketIO, "chanx": Chanx}
_SERVERS = {
    "daphne": (" on Daphne", ("daphne",)),
    "uvicorn": (" on uvicorn", ("uvicorn", "uvloop", "websockets")),
    "uvicorn_wsproto": (" on uvicorn (wsproto)", ("uvicorn", "uvloop", "wsproto")),
    "hypercorn": (" on Hypercorn", ("hypercorn",)),
    "granian": (" on Granian", ("granian",)),
    "alone": ("", ()),
    "alone_uvloop": (" on uvloop", ("uvloop",)),
}
LAYERS = {
    "relay": "RedisChannelLayer",
    "core": "channels_redis",
    "pubsub": "channels_redis (pubsub)",
}
"""What a layer over Redis is called; `benchmarks.servers.settings` configures it."""
_OVER_REDIS = {
    "relay": "arcly_channels over Redis",
    "core": "Channels + channels_redis",
    "pubsub": "Channels + channels_redis (pubsub)",
}


@dataclass(frozen=True)
class Peer:
    """One application on one server; both are names of `benchmarks.servers`.

    `layer` is one of `LAYERS`, or nothing when it needs no Redis.
    """

    application: str
    server: str
    layer: str = ""

    @property
    def name(self) -> str:
        name = _OVER_REDIS[self.layer] if self.layer else _APPLICATIONS[self.application][0]
        return name + _SERVERS[self.server][0]

    @property
    def python(self) -> str:
        """The interpreter that has what this peer needs."""
        return python_of(self.layer)

    @property
    def dialect(self) -> Dialect:
        return _DIALECTS.get(self.application, Envelopes)()

    def missing(self) -> str | None:
        """Why this peer cannot run on this machine, or None."""
        packages = _APPLICATIONS[self.application][1] + _SERVERS[self.server][1]
        return _absent(packages) or (missing_layer(self.layer) if self.layer else None)


def python_of(layer: str) -> str:
    """The interpreter for programs that use this layer."""
    return str(channels_redis.PYTHON) if layer in ("core", "pubsub") else sys.executable


def missing_layer(layer: str) -> str | None:
    """Why there is no such layer on this machine, or None."""
    return (
        _absent(("redis", "hiredis", "msgpack")) if layer == "relay" else channels_redis.missing()
    )


def _absent(packages: tuple[str, ...]) -> str | None:
    absent = [package for package in packages if find_spec(package) is None]
    return f"not installed: {', '.join(absent)}" if absent else None


OURS_ON_DAPHNE = Peer("ours", "daphne")
OURS_ON_UVICORN = Peer("ours", "uvicorn")
STREAMS_ON_DAPHNE = Peer("sse", "daphne")
STOCK_STREAMS_ON_DAPHNE = Peer("stock_sse", "daphne")
STOCK_ON_DAPHNE = Peer("stock", "daphne")
STOCK_ON_UVICORN = Peer("stock", "uvicorn")
BARE_ON_DAPHNE = Peer("bare", "daphne")
BARE_ON_UVICORN = Peer("bare", "uvicorn")
TYPED_ON_DAPHNE = Peer("typed", "daphne")
TYPED_ON_UVICORN = Peer("typed", "uvicorn")
UNTYPED_ON_DAPHNE = Peer("untyped", "daphne")
UNTYPED_ON_UVICORN = Peer("untyped", "uvicorn")
CHANX_ON_DAPHNE = Peer("chanx", "daphne")
CHANX_ON_UVICORN = Peer("chanx", "uvicorn")
SOCKETIO = Peer("socketio", "uvicorn")
BROADCAST = Peer("broadcast", "alone")
BROADCAST_ON_UVLOOP = Peer("broadcast", "alone_uvloop")
ROOMS_OVER_REDIS = Peer("rooms", "daphne", "relay")
OURS_OVER_REDIS = Peer("ours", "daphne", "relay")
STOCK_OVER_REDIS = Peer("stock", "daphne", "core")
STOCK_OVER_PUBSUB = Peer("stock", "daphne", "pubsub")
