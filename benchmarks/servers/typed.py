"""A gateway of ours that answers a note of five fields; `untyped` does not say that it is one."""

from __future__ import annotations

from typing import Any

import django
from pydantic import BaseModel

from arcly_channels import GatewayConsumer, subscribe


class Note(BaseModel):
    room: str
    text: str
    number: int
    tags: list[str]
    urgent: bool


class Greeting(GatewayConsumer):
    async def on_connect(self) -> None:
        await self.emit("ready", None)


class Typed(Greeting):
    @subscribe("echo")
    async def echo(self, data: Note) -> None:
        await self.emit("done", data)


class Untyped(Greeting):
    @subscribe("echo")
    async def echo(self, data: Any) -> None:
        await self.emit("done", data)


def create() -> Any:
    """The ASGI application; servers call this once."""
    django.setup()
    return Typed.as_asgi()
