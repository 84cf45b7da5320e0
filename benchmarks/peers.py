"""Who takes part in a comparison: an application on a server, and which packages that needs."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

from .wire import Dialect, Envelopes, SocketIO

_APPLICATIONS = {
    "ours": ("arcly_channels", ("arcly_channels", "channels")),
    "stock": ("Channels + InMemory", ("channels",)),
    "bare": ("bare ASGI", ()),
    "socketio": ("python-socketio", ("socketio",)),
    "broadcast": ("websockets.broadcast()", ("websockets",)),
}
_SERVERS = {
    "daphne": (" on Daphne", ("daphne",)),
    "uvicorn": (" on uvicorn", ("uvicorn", "uvloop", "websockets")),
    "uvicorn_wsproto": (" on uvicorn (wsproto)", ("uvicorn", "uvloop", "wsproto")),
    "hypercorn": (" on Hypercorn", ("hypercorn",)),
    "granian": (" on Granian", ("granian",)),
    "alone": ("", ()),
    "alone_uvloop": (" on uvloop", ("uvloop",)),
}


@dataclass(frozen=True)
class Peer:
    """One application on one server; both are names of `benchmarks.servers`."""

    application: str
    server: str

    @property
    def name(self) -> str:
        return _APPLICATIONS[self.application][0] + _SERVERS[self.server][0]

    @property
    def dialect(self) -> Dialect:
        return SocketIO() if self.application == "socketio" else Envelopes()

    def missing(self) -> str | None:
        """Why this peer cannot run on this machine, or None."""
        packages = _APPLICATIONS[self.application][1] + _SERVERS[self.server][1]
        absent = [package for package in packages if find_spec(package) is None]
        return f"not installed: {', '.join(absent)}" if absent else None


OURS_ON_DAPHNE = Peer("ours", "daphne")
OURS_ON_UVICORN = Peer("ours", "uvicorn")
STOCK_ON_DAPHNE = Peer("stock", "daphne")
STOCK_ON_UVICORN = Peer("stock", "uvicorn")
BARE_ON_DAPHNE = Peer("bare", "daphne")
BARE_ON_UVICORN = Peer("bare", "uvicorn")
SOCKETIO = Peer("socketio", "uvicorn")
BROADCAST = Peer("broadcast", "alone")
BROADCAST_ON_UVLOOP = Peer("broadcast", "alone_uvloop")
