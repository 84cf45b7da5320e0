"""Our gateway on our layer, written the way the README says to write one."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import django

from arcly_channels import GatewayConsumer, broadcast_to_room, subscribe

from .commands import MEMBER_PATH, ROOM, Commands, steady_in_thread, tick_data

COMMANDS = Commands()


class BenchGateway(GatewayConsumer):
    async def on_connect(self) -> None:
        if self.scope["path"] == MEMBER_PATH:
            await self.join_room(ROOM)
        await self.emit("ready", None)

    async def may_join(self, room: str) -> None:
        """Anybody may join any room."""

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

    @subscribe("steady")
    async def steady(self, data: Any) -> None:
        await self._obey("steady", data)

    @subscribe("steady_thread")
    async def steady_thread(self, data: Any) -> None:
        def tick(number: int, size: int) -> None:
            broadcast_to_room(ROOM, "tick", tick_data(number, size))

        run = partial(steady_in_thread, tick, **data)
        await self.emit("done", await asyncio.get_running_loop().run_in_executor(None, run))

    @subscribe("join")
    async def join(self, data: Any) -> None:
        await self.join_room(data["room"])

    @subscribe("noop")
    async def noop(self, data: Any) -> None:
        await self._obey("noop", data)

    @subscribe("echo")
    async def echo(self, data: Any) -> None:
        await self._obey("echo", data)

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
