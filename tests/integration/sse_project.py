"""An ASGI application with event streams, beside the gateways of the tests of the outbound path."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path

from tests.integration.outbound_project import (
    ROOM,
    Gateway,
    Hiding,
    closed,
    reasons,
    transports,
)

# isort: split
from arcly_channels import EventRefused, EventStream, Refused, subscribe
from arcly_channels.asgi import GatewayApplication
from arcly_channels.fanout.audience import Group
from arcly_channels.identity import IdentityMiddlewareStack


class Control(Gateway):
    @subscribe("close_streams")
    async def close_streams(self, code: int) -> None:
        self.channel_layer.registry.close(Group(ROOM), code)


class Feed(EventStream):
    async def authorize(self) -> None:
        if self.scope["path"] == "/doubtful":
            await asyncio.sleep(0.3)
        if self.scope["path"] == "/forbidden":
            raise Refused(4403, "not you")

    async def may_join(self, room: str) -> None:
        if room == "staff":
            raise EventRefused("forbidden", "staff only")

    async def on_connect(self) -> None:
        assert self._gateway_session.transport is not None
        transports.add(self._gateway_session.transport)
        await self.emit("ready", type(self._gateway_session.transport).__name__)

    async def on_disconnect(self, code: int) -> None:
        closed.append(code)
        reasons.append(self.disconnect_reason)
        sys.stderr.write(f"closed with {code}\n")


def rooms_of(scope: dict[str, Any]) -> list[str]:
    return [scope["url_route"]["kwargs"]["name"]]


streams = URLRouter(
    [
        *(path(name, Feed.as_asgi(rooms=[ROOM])) for name in ("stream", "doubtful", "forbidden")),
        path("rooms/<name>", Feed.as_asgi(rooms=rooms_of)),
        path("alone", Feed.as_asgi()),
    ]
)
routes = {
    "http": AuthMiddlewareStack(IdentityMiddlewareStack(streams)),
    "websocket": AuthMiddlewareStack(URLRouter([path("control", Control.as_asgi())])),
}
application = ProtocolTypeRouter(routes)
hidden = Hiding(application)
found_again = GatewayApplication(hidden)
