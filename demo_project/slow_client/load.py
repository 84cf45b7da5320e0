"""What both servers of the page have: a bounded broadcast, and a look at their own memory."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from django.conf import settings

ROOM = "slow-client"

SIZE = 16384  # Bytes of each message: 20 clients that do not read leave 16 MB a second unread.
PER_SECOND = 50
SECONDS = 20
MEMORY = 400 * 1024 * 1024  # Bytes of a server, beyond which its broadcast ends.

TEXT = "x" * SIZE

FORWARDED = {b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via"}
"""Headers by which proxies give themselves away."""


class Broadcast:
    """Messages to everybody in the room: one run at a time, and each run comes to an end."""

    def __init__(self) -> None:
        self._run: asyncio.Task[None] | None = None

    @property
    def is_running(self) -> bool:
        return self._run is not None and not self._run.done()

    def start(self, send: Callable[[str], Awaitable[None]]) -> None:
        """Send texts by `send`, until time, memory or `stop` end it; do nothing if that is on."""
        if not self.is_running:
            self._run = asyncio.create_task(self._send(send))

    async def stop(self) -> None:
        run, self._run = self._run, None
        if run is not None:
            run.cancel()
            with suppress(asyncio.CancelledError):
                await run
        asyncio.get_running_loop().call_later(1, give_back)  # When the clients have gone.

    async def _send(self, send: Callable[[str], Awaitable[None]]) -> None:
        started = time.monotonic()
        for number in range(PER_SECOND * SECONDS):
            if memory() > MEMORY or time.monotonic() > started + 2 * SECONDS:
                return
            await asyncio.sleep(max(0, started + number / PER_SECOND - time.monotonic()))
            await send(TEXT)


def memory() -> int:
    """Return how many bytes of memory this process has; on other systems than Linux, at most."""
    with suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def give_back() -> None:
    """Return memory that is free to the system, so that a second run starts where the first did."""
    gc.collect()
    with suppress(AttributeError, OSError, TypeError):  # It is a function of Linux's C library.
        ctypes.CDLL(None).malloc_trim(0)


def may_load(scope: Mapping[str, Any]) -> bool:
    """Return whether a client may put load on this server: only who runs the demo on his machine.

    A proxy on this machine comes from there as well, and brings anybody.
    """
    peer = (scope.get("client") or ["0.0.0.0"])[0]  # noqa: S104  # None is a file, so a proxy.
    is_forwarded = not FORWARDED.isdisjoint(name for name, _ in scope["headers"])
    return settings.DEBUG and ip_address(peer).is_loopback and not is_forwarded
