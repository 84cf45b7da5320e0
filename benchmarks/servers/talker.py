"""A process with a channel layer over Redis and no server; it obeys one JSON command a line.

Its event loop starts with the first command that needs one: a process that only publishes from its
main thread has none, like a view or a task of a queue. Argument: optionally, the core to run on.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Coroutine
from typing import Any

import django

from .commands import ROOM, tick_data, tick_text

IS_OURS = os.environ["BENCH_LAYER"] == "relay"
PAYLOAD = "x" * 100
TIMEOUT = 120.0


class Member:
    """A channel in a group, whose messages are counted as they come."""

    def __init__(self, layer: Any) -> None:
        self._layer = layer
        self._numbers: list[int] = []
        self._last_came = 0.0
        self._wanted = 0
        self._is_complete = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def join(self, group: str) -> None:
        channel = await self._layer.new_channel()
        self._task = asyncio.get_running_loop().create_task(self._receive(channel))
        await self._layer.group_add(group, channel)

    async def take(self, first: int, count: int) -> float:
        """Wait for the messages `first` to `first + count - 1`, each once; when the last came."""
        self._wanted = count
        if len(self._numbers) < count:
            self._is_complete.clear()
            await asyncio.wait_for(self._is_complete.wait(), TIMEOUT)
        if sorted(self._numbers) != list(range(first, first + count)):
            raise RuntimeError(f"expected {count} messages from {first} on, got others")
        self._numbers.clear()
        return self._last_came

    async def _receive(self, channel: str) -> None:
        while True:
            message = await self._layer.receive(channel)
            self._numbers.append(message["n"])
            self._last_came = time.perf_counter()
            if len(self._numbers) == self._wanted:
                self._is_complete.set()


class Talker:
    """The commands; each returns what the benchmark wants to know."""

    def __init__(self) -> None:
        from channels.layers import get_channel_layer

        self._layer: Any = get_channel_layer("default" if IS_OURS else "stock")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._member: Member | None = None

    def obey(self, command: str, data: dict[str, Any]) -> Any:
        outcome = getattr(self, command)(**data)
        return self._wait_for(outcome) if asyncio.iscoroutine(outcome) else outcome

    async def join(self, group: str) -> None:
        """Be the member of `group` that `take` asks."""
        self._member = Member(self._layer)
        await self._member.join(group)

    async def take(self, first: int, count: int) -> float:
        if self._member is None:
            raise RuntimeError("no member has joined")
        return await self._member.take(first, count)

    async def send(self, group: str, first: int, count: int, senders: int) -> dict[str, float]:
        """`count` messages by `senders` tasks, each of which waits for its own."""
        numbers = iter(range(first, first + count))

        async def sender() -> None:
            for number in numbers:
                message = {"type": "bench.message", "n": number, "p": PAYLOAD}
                await self._layer.group_send(group, message)

        used, started = time.process_time(), time.perf_counter()
        await asyncio.gather(*(sender() for _ in range(senders)))
        return {"started": started, "cpu": time.process_time() - used}

    async def add(self, name: str, groups: int, at_once: int) -> list[float]:
        """Join new groups, `at_once` at a time, and hear from each; the seconds of each join."""
        channel = await self._layer.new_channel()
        names = [f"{name}.{number}" for number in range(groups)]
        waiting, times = iter(names), []

        async def joiner() -> None:
            for group in waiting:
                before = time.perf_counter()
                await self._layer.group_add(group, channel)
                times.append(time.perf_counter() - before)

        await asyncio.gather(*(joiner() for _ in range(at_once)))
        for group in names:
            await self._layer.group_send(group, {"type": "bench.message", "group": group})
        heard = [await asyncio.wait_for(self._layer.receive(channel), TIMEOUT) for _ in names]
        if {message["group"] for message in heard} != set(names):
            raise RuntimeError("some groups were not heard")
        for group in names:
            await self._layer.group_discard(group, channel)
        return times

    def publish(self, first: int, count: int, size: int) -> dict[str, float]:
        """`count` ticks to the benchmark's room from this thread, which has no event loop."""
        publish = _publisher(self._layer)
        used, started = time.process_time(), time.perf_counter()
        for number in range(first, first + count):
            publish(number, size)
        return {"started": started, "cpu": time.process_time() - used}

    def _wait_for(self, outcome: Coroutine[Any, Any, Any]) -> Any:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        return self._loop.run_until_complete(outcome)  # In the main thread, as servers have it.


def _publisher(layer: Any) -> Any:
    """What sends one tick from a plain thread, as the documentation of each says."""
    if IS_OURS:
        from arcly_channels import broadcast_to_room

        return lambda number, size: broadcast_to_room(ROOM, "tick", tick_data(number, size))
    from asgiref.sync import async_to_sync

    send = async_to_sync(layer.group_send)
    return lambda number, size: send(ROOM, {"type": "room.tick", "text": tick_text(number, size)})


def main(core: str = "") -> None:
    if core:
        os.sched_setaffinity(0, {int(core)})
    os.environ["DJANGO_SETTINGS_MODULE"] = f"{__package__}.settings"
    django.setup()
    talker = Talker()
    for line in sys.stdin:
        command, data = json.loads(line)
        print(json.dumps(talker.obey(command, data)), flush=True)
    os._exit(0)  # Its loop, and whatever the layer has running there, end with it.


if __name__ == "__main__":
    main(*sys.argv[1:])
