"""Programs that publish to a room: `python -m tests.integration.anywhere_project.publish way room`.

Each says `published` when it has done so, and lives on until a line comes by its standard input.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.integration.anywhere_project.settings")
django.setup()

from arcly_channels import RelayOutcomeUnknown, abroadcast_to_room, broadcast_to_room  # noqa: E402

THREADS, SENDS = 8, 1000
FORKED = 300


def tell(what: str) -> None:
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


def wait() -> None:
    sys.stdin.readline()


def send(room: str, who: str | int, count: int) -> None:
    for number in range(count):
        broadcast_to_room(room, "tick", [who, number])


def threads(room: str) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda who: send(room, who, SENDS), range(THREADS)))
    tell("published")
    wait()


def fork(room: str) -> None:
    """Publish, fork, and publish in both processes at a time; the child lives as long as we do."""
    send(room, "before", FORKED)
    tell("before")
    wait()
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        send(room, "child", FORKED)
        os.close(writer)
        os.read(reader, 1)  # Until the parent ends.
        os._exit(0)
    send(room, "parent", FORKED)
    tell("published")
    wait()
    os.close(writer)
    _, status = os.waitpid(child, 0)
    tell(f"child ended with {os.waitstatus_to_exitcode(status)}")


def processes(room: str) -> None:
    """Do the same by `multiprocessing`, with two children that end by themselves."""
    send(room, "before", FORKED)
    forking = multiprocessing.get_context("fork")
    children = [forking.Process(target=send, args=(room, who, FORKED)) for who in ("one", "two")]
    for child in children:
        child.start()
    send(room, "parent", FORKED)
    for child in children:
        child.join()
    tell("published")
    wait()


def script(room: str) -> None:
    """Publish in an event loop, and in a second one when that has ended."""

    async def main(who: str) -> None:
        for number in range(FORKED):
            await abroadcast_to_room(room, "tick", [who, number])

    asyncio.run(main("first"))
    asyncio.run(main("second"))
    tell("published")
    wait()


def hasty(room: str) -> None:
    """Publish in an event loop without waiting for it, and end."""

    async def main() -> None:
        send(room, "hasty", FORKED)

    asyncio.run(main())


def hanging(room: str) -> None:
    """Publish until that fails, and end."""
    send(room, "before", 1)
    tell("before")
    wait()
    began = time.monotonic()
    try:
        send(room, "after", 1)
    except RelayOutcomeUnknown:
        tell(f"unknown after {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    ways: dict[str, Callable[[str], None]] = {
        way.__name__: way for way in (threads, fork, processes, script, hasty, hanging)
    }
    ways[sys.argv[1]](sys.argv[2])
