"""Serve one application on one server. Arguments: application, server, port and, optionally, core.

Started as the leader of a session, as the harness does, the process ends itself and its workers
when its standard input closes: no server outlives its benchmark.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any

PACKAGE = __package__ or "benchmarks.servers"


def daphne(application: str, port: int) -> None:
    from daphne.server import Server  # Installs Twisted's reactor: before anything else imports it.

    ping = 20 if "BENCH_KEEPALIVE" in os.environ else 3600
    listener = _listener(port)
    endpoints = [f"fd:fileno={listener.fileno()}"]
    Server(
        _create(application), endpoints=endpoints, ping_interval=ping, ping_timeout=ping + 10
    ).run()


def uvicorn(application: str, port: int, websockets: str = "auto") -> None:
    import uvicorn

    config = uvicorn.Config(
        _create(application),
        loop="uvloop",
        ws=websockets,
        lifespan="off",
        log_level="warning",
        ws_ping_interval=20 if "BENCH_KEEPALIVE" in os.environ else None,
    )
    uvicorn.Server(config).run(sockets=[_listener(port)])


def uvicorn_wsproto(application: str, port: int) -> None:
    uvicorn(application, port, "wsproto")


def hypercorn(application: str, port: int) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.loglevel = "warning"
    asyncio.run(serve(_create(application), config, mode="asgi"))


def granian(application: str, port: int) -> None:
    from granian.constants import Interfaces
    from granian.server import Server

    target = f"{PACKAGE}.{application}:create"
    Server(target, port=port, interface=Interfaces.ASGI, factory=True, log_enabled=False).serve()


def alone(application: str, port: int) -> None:
    """An application that is a server itself."""
    asyncio.run(import_module(f"{PACKAGE}.{application}").serve_forever(port))


def alone_uvloop(application: str, port: int) -> None:
    """The same, on uvloop."""
    import uvloop

    uvloop.run(import_module(f"{PACKAGE}.{application}").serve_forever(port))


SERVERS: dict[str, Callable[[str, int], None]] = {
    function.__name__: function
    for function in (daphne, uvicorn, uvicorn_wsproto, hypercorn, granian, alone, alone_uvloop)
}


def _listener(port: int) -> socket.socket:
    """Listen, with the congestion control of `BENCH_CONGESTION`, which connections inherit."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if algorithm := os.environ.get("BENCH_CONGESTION"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, algorithm.encode())
    listener.bind(("127.0.0.1", port))
    listener.listen(1024)
    return listener


def _create(application: str) -> Any:
    return import_module(f"{PACKAGE}.{application}").create()


def _end_with_parent() -> None:
    while os.read(0, 1024):
        pass
    os.killpg(os.getpgid(0), signal.SIGKILL)


def main(application: str, server: str, port: str, core: str = "") -> None:
    if core:
        os.sched_setaffinity(0, {int(core)})
    os.environ["DJANGO_SETTINGS_MODULE"] = f"{PACKAGE}.settings"
    if os.getsid(0) == os.getpid():
        threading.Thread(target=_end_with_parent, daemon=True).start()
    SERVERS[server](application, int(port))


if __name__ == "__main__":
    main(*sys.argv[1:])
