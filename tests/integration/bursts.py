"""Sockets that count what reaches them of a burst, and whether they stay open."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

QUIET = 1.0
"""Seconds without a message after which a burst that may have lost some is over."""


@dataclass(frozen=True)
class Seen:
    """What became of a burst: the messages of the socket that saw fewest, and who stayed open."""

    fewest: int
    open: int
    answer: Any


def ask(host: str, path: str) -> Any:
    """Return what a view of the server answers."""
    with urllib.request.urlopen(f"http://{host}/{path}", timeout=120) as response:
        return json.load(response)


async def see_burst(
    host: str, consumer: str, view: str, *, count: int, sockets: int, quiet: float = QUIET
) -> Seen:
    """Open so many sockets, have a view send its burst, and count until nothing more comes.

    That is after `quiet` seconds without a message, unless all have come.
    """
    clients = [await connect(f"ws://{host}/{consumer}") for _ in range(sockets)]
    sent = asyncio.create_task(asyncio.to_thread(ask, host, f"{view}/{count}"))
    seen = await asyncio.gather(*(_count(client, count, sent, quiet) for client in clients))
    still_open = sum(client.close_code is None for client in clients)
    await asyncio.gather(*(client.close() for client in clients))
    return Seen(min(seen), still_open, await sent)


async def _count(
    client: ClientConnection, count: int, sent: asyncio.Task[Any], quiet: float
) -> int:
    """Return how many messages come, of `count` that are sent."""
    seen = 0
    try:
        while seen < count:
            try:
                await asyncio.wait_for(client.recv(), quiet)
                seen += 1
            except asyncio.TimeoutError:
                if sent.done():
                    break
    except ConnectionClosed:
        pass
    return seen
