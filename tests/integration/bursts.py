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
"""Seconds without a message after which a burst is over."""


@dataclass(frozen=True)
class Seen:
    """What became of a burst: the messages of the socket that saw fewest, and who stayed open."""

    fewest: int
    average: float
    open: int
    answer: Any


async def see_burst(host: str, consumer: str, view: str, *, count: int, sockets: int) -> Seen:
    """Open so many sockets, have a view send its burst, and count until nothing more comes."""
    clients = [await connect(f"ws://{host}/{consumer}") for _ in range(sockets)]
    counting = [asyncio.create_task(_count(client)) for client in clients]
    request = asyncio.to_thread(urllib.request.urlopen, f"http://{host}/{view}/{count}", None, 120)
    with await request as response:
        answer = json.load(response)
    _ended.set()
    try:
        seen = await asyncio.gather(*counting)
    finally:
        _ended.clear()
    still_open = sum(client.close_code is None for client in clients)
    await asyncio.gather(*(client.close() for client in clients))
    return Seen(min(seen), sum(seen) / sockets, still_open, answer)


_ended = asyncio.Event()


async def _count(client: ClientConnection) -> int:
    seen = 0
    try:
        while True:
            try:
                await asyncio.wait_for(client.recv(), QUIET)
                seen += 1
            except asyncio.TimeoutError:
                if _ended.is_set():
                    return seen
    except ConnectionClosed:
        return seen
