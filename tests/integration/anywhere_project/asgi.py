"""What the server runs: a gateway whose clients are in the room that their path names."""

from __future__ import annotations

import os
from typing import Any

from channels.consumer import AsyncConsumer
from channels.routing import ChannelNameRouter, ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.integration.anywhere_project.settings")
http = get_asgi_application()

from arcly_channels import GatewayConsumer, abroadcast_to_room  # noqa: E402  # Django comes first.
from arcly_channels.identity import IdentityMiddlewareStack  # noqa: E402

WORK = "work"
"""The channel that workers share, and the room that hears what they have done."""


class Gateway(GatewayConsumer):
    require_tenant = False

    async def on_connect(self) -> None:
        await self.join_room(self.scope["url_route"]["kwargs"]["room"])
        await self.emit("ready", getattr(self.tenant, "id", None))


class Worker(AsyncConsumer):
    async def do_work(self, message: dict[str, Any]) -> None:
        await abroadcast_to_room(WORK, "done", [message["number"], os.getpid()])


gateway: Any = Gateway.as_asgi()  # Any, since `path` is typed for views only.
application = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": IdentityMiddlewareStack(URLRouter([path("<room>", gateway)])),
        "channel": ChannelNameRouter({WORK: Worker.as_asgi()}),
    }
)
