"""How many group messages a second go through a layer, from `group_send` to every `receive`?

In one thread, without sockets: every member is a task that waits in `receive`, as a consumer does.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any, Protocol

from .cli import main
from .harness import CLIENT_CORE, pin
from .results import Result

OURS, STOCK = "LocalChannelLayer", "InMemoryChannelLayer"
GROUP = "bench"
BARS = {10: None, 100: 10.0, 1000: 40.0, 5000: 200.0, 10_000: None}
"""The wanted ratio for every size of group."""
PEER_LIMIT = 5000
"""The peer scans everything for every message: a round of a larger group takes it minutes."""
FLATNESS = "layer: slowest size, as a share of the fastest"


class Layer(Protocol):
    async def new_channel(self, prefix: str = ...) -> str: ...
    async def group_add(self, group: str, channel: str) -> None: ...
    async def group_send(self, group: str, message: dict[str, Any]) -> None: ...
    async def receive(self, channel: str) -> dict[str, Any]: ...


class Group:
    """Members that wait for messages, each in its own task."""

    def __init__(self, layer: Layer) -> None:
        self._layer = layer
        self._tasks: list[asyncio.Task[None]] = []
        self._expected = 0
        self._missing = 0
        self._wrong: list[dict[str, Any]] = []
        self._round_is_over = asyncio.Event()

    async def fill(self, members: int) -> None:
        """Members wait before they join, as the peer scans all groups when one starts to wait."""
        channels = [await self._layer.new_channel() for _ in range(members)]
        self._tasks = [asyncio.ensure_future(self._member(channel)) for channel in channels]
        await asyncio.sleep(0)
        for channel in channels:
            await self._layer.group_add(GROUP, channel)

    async def rate(self, seconds: float) -> float:
        """Deliveries a second, over as many rounds as fit and at least one."""
        started, rounds = time.perf_counter(), 0
        while not rounds or time.perf_counter() - started < seconds:
            rounds += 1
            self._missing, self._expected = len(self._tasks), rounds
            self._round_is_over.clear()
            message = {"type": "chat.message", "number": rounds, "text": "x" * 100}
            await self._layer.group_send(GROUP, message)
            await asyncio.wait_for(self._round_is_over.wait(), timeout=300)
            if self._wrong:
                raise RuntimeError(f"expected message {rounds}, got {self._wrong[0]}")
        return rounds * len(self._tasks) / (time.perf_counter() - started)

    async def leave(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _member(self, channel: str) -> None:
        while True:
            message = await self._layer.receive(channel)
            self._missing -= 1
            if message["number"] != self._expected:
                self._wrong.append(message)
            if not self._missing or self._wrong:
                self._round_is_over.set()


async def _sample(layer: Layer, members: int, seconds: float) -> float:
    group = Group(layer)
    await group.fill(members)
    try:
        return await group.rate(seconds)
    finally:
        await group.leave()


def _layers(result: Result) -> dict[str, Any]:
    """The classes that can be had here."""
    from channels.layers import InMemoryChannelLayer

    layers = {STOCK: InMemoryChannelLayer}
    try:
        from arcly_channels.layers import LocalChannelLayer
    except ImportError as error:
        result.skip(OURS, str(error))
        return layers
    return {OURS: LocalChannelLayer, **layers}


def run(quick: bool) -> Result:
    pin(CLIENT_CORE)
    seconds = 0.02 if quick else 0.3
    result = Result("layer", __doc__ or "", sizes=list(BARS), seconds_per_sample=seconds)
    layers = _layers(result)
    medians: list[float] = []
    for members, bar in list(BARS.items())[: 2 if quick else None]:
        rate = result.measure(
            f"layer: group_send and receive in a group of {members}", "deliveries/s"
        )
        competing = (
            layers
            if members <= PEER_LIMIT
            else {name: layers[name] for name in layers if name == OURS}
        )
        for _ in range(1 if quick else 2 if members == PEER_LIMIT else 5):
            for name, layer_class in competing.items():
                rate.add(name, asyncio.run(_sample(layer_class(), members, seconds)))
        result.compare(rate, OURS, STOCK, bar=bar)
        medians += [rate.median(OURS)] if OURS in layers else []
    if medians:
        flatness = result.measure(FLATNESS, "of 1")
        flatness.add(OURS, min(medians) / max(medians))
        result.compare(flatness, OURS, bar=0.5)
    return result


if __name__ == "__main__":
    main(run)
