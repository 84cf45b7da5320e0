"""An ASGI application with narrow limits, to be served by any server."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

from channels.exceptions import StopConsumer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.urls import path  # noqa: E402
from pydantic import BaseModel  # noqa: E402

from arcly_channels import GatewayConsumer, subscribe  # noqa: E402
from arcly_channels.identity import IdentityMiddlewareStack  # noqa: E402


class Numbered(BaseModel):
    number: int


class Gateway(GatewayConsumer):
    async def authorize(self) -> None:
        if self.scope["path"] == "/pondering":
            await asyncio.sleep(60)

    async def on_connect(self) -> None:
        if self.scope["path"] == "/dawdling":
            await asyncio.sleep(60)

    @subscribe("echo")
    async def echo(self, data: Any) -> Any:
        return data

    @subscribe("goodbye")
    async def goodbye(self, data: Any) -> None:
        await self.close(4002)
        raise StopConsumer

    @subscribe("typed")
    async def typed(self, data: Numbered) -> None: ...

    @subscribe("secret", roles="admin")
    async def secret(self, data: Any) -> None: ...


class Open(Gateway):
    async def may_join(self, room: str) -> None: ...


routes = [
    *(path(name, Open.as_asgi()) for name in ("", "pondering", "dawdling")),
    path("closed", Gateway.as_asgi()),
]
application = ProtocolTypeRouter({"websocket": IdentityMiddlewareStack(URLRouter(routes))})
