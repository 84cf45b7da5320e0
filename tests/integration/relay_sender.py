"""A program that only sends, in one of the ways that programs have: `relay_sender WAY HOST…`.

With several hosts, they are of a cluster.

Each message to the room says which process has sent it, and its number there.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable
from functools import partial

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

from asgiref.sync import async_to_sync  # noqa: E402

from arcly_channels.layers import RedisChannelLayer  # noqa: E402

THREADS = 8
EACH = 1000
"""How many messages each thread sends; a way that starts a loop for each sends a `FEW`."""
FEW = 100


def message(number: int) -> dict[str, object]:
    return {"type": "message", "process": os.getpid(), "number": number}


def send(layer: RedisChannelLayer, numbers: range) -> None:
    for number in numbers:
        layer.group_send_now("room", message(number))


def send_by_asgiref(layer: RedisChannelLayer, numbers: range) -> None:
    for number in numbers:
        async_to_sync(layer.group_send)("room", message(number))


def threads(
    way: Callable[[RedisChannelLayer, range], None], each: int, layer: RedisChannelLayer
) -> None:
    """Send from several threads at the same time."""
    parts = [range(each * number, each * (number + 1)) for number in range(THREADS)]
    senders = [threading.Thread(target=way, args=(layer, part)) for part in parts]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()


def fork(layer: RedisChannelLayer) -> None:
    """Send as Celery does: in the process that has the layer first, and in a child of it."""
    send(layer, range(FEW))
    child = os.fork()
    send(layer, range(FEW, 2 * FEW))
    if not child:
        os._exit(0)
    os.waitpid(child, 0)


def coroutine(layer: RedisChannelLayer) -> None:
    """Send from a loop that ends at once."""

    async def run() -> None:
        for number in range(FEW):
            await layer.group_send("room", message(number))

    asyncio.run(run())


WAYS: dict[str, Callable[[RedisChannelLayer], None]] = {
    "threads": partial(threads, send, EACH),
    "asgiref": partial(threads, send_by_asgiref, FEW),
    "fork": fork,
    "command": lambda layer: send(layer, range(FEW)),
    "coroutine": coroutine,
}


if __name__ == "__main__":
    way, *hosts = sys.argv[1:]
    WAYS[way](RedisChannelLayer(hosts=hosts, cluster=len(hosts) > 1))
