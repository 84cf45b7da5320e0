"""Our gateway on our layer, written the way the README says to write one."""

from __future__ import annotations

from typing import Any

import django

from arcly_channels import GatewayConsumer, subscribe

from .commands import MEMBER_PATH, ROOM, Commands, tick_data

COMMANDS = Commands()


class BenchGateway(GatewayConsumer):
    async def on_connect(self) -> None:
        if self.scope["path"] == MEMBER_PATH:
            await self.join_room(ROOM)
        await self.emit("ready", None)

    @subscribe("go")
    async def go(self, data: Any) -> None:
        await self._obey("go", data)

    @subscribe("say")
    async def say(self, data: Any) -> None:
        await self._obey("say", data)

    @subscribe("flood")
    async def flood(self, data: Any) -> None:
        await self._obey("flood", data)

    @subscribe("block")
    async def block(self, data: Any) -> None:
        await self._obey("block", data)

    @subscribe("watch")
    async def watch(self, data: Any) -> None:
        await self._obey("watch", data)

    @subscribe("report")
    async def report(self, data: Any) -> None:
        await self._obey("report", data)

    async def _obey(self, event: str, data: dict[str, Any]) -> None:
        reply = await COMMANDS.obey(event, data, self._tick)
        if reply is not None:
            await self.emit("done", reply)

    async def _tick(self, number: int, size: int) -> None:
        await self.broadcast_to_room(ROOM, "tick", tick_data(number, size))


def create() -> Any:
    """The ASGI application; servers call this once."""
    django.setup()
    return BenchGateway.as_asgi()
