"""Our event stream for the members, and our gateway for who gives the commands."""

from __future__ import annotations

from typing import Any

import django
from channels.routing import ProtocolTypeRouter

from arcly_channels import EventStream

from .commands import ROOM
from .ours import BenchGateway


class BenchStream(EventStream):
    async def on_connect(self) -> None:
        await self.emit("ready", None)


def create() -> Any:
    """The ASGI application; servers call this once."""
    django.setup()
    return ProtocolTypeRouter(
        {"http": BenchStream.as_asgi(rooms=[ROOM]), "websocket": BenchGateway.as_asgi()}
    )
