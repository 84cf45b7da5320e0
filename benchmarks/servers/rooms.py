"""Our gateway with many rooms: a client's path says which it joins."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import django

from arcly_channels import GatewayConsumer, subscribe

from .commands import CONTROL_PATH, MEMBER_PATH, tick_data


class RoomsGateway(GatewayConsumer):
    async def on_connect(self) -> None:
        if self.scope["path"] != CONTROL_PATH:
            await self.join_room(self.scope["path"].removeprefix(f"{MEMBER_PATH}/"))
        await self.emit("ready", None)

    @subscribe("load")
    async def load(self, data: Any) -> None:
        await self._load(**data)
        await self.emit("done", {})

    async def _load(
        self, rooms: list[str], rounds: int, interval: float, size: int, first: int
    ) -> None:
        """`rounds` ticks to each of the rooms in turn, one each `interval` seconds.

        Whoever is late goes on at once, so that the rate is kept.
        """
        started, number = time.perf_counter(), 0
        for _ in range(rounds):
            for room in rooms:
                await self.broadcast_to_room(room, "tick", tick_data(first + number, size))
                number += 1
                due = started + number * interval
                await asyncio.sleep(max(0.0, due - time.perf_counter()))


def create() -> Any:
    """The ASGI application; servers call this once."""
    django.setup()
    return RoomsGateway.as_asgi()
