"""Channels as it serves event streams: an `AsyncHttpConsumer` that goes on, and a group."""

from __future__ import annotations

from typing import Any

import django
from channels.exceptions import StopConsumer
from channels.generic.http import AsyncHttpConsumer
from channels.routing import ProtocolTypeRouter

from .commands import READY, ROOM
from .stock import StockConsumer


class StockStream(AsyncHttpConsumer):
    channel_layer_alias = "stock"

    async def http_request(self, message: dict[str, Any]) -> None:
        if not message.get("more_body"):
            headers = [(b"Content-Type", b"text/event-stream"), (b"Cache-Control", b"no-store")]
            await self.send_headers(headers=headers)
            await self.channel_layer.group_add(ROOM, self.channel_name)
            await self._say(READY)

    async def http_disconnect(self, message: dict[str, Any]) -> None:
        await self.channel_layer.group_discard(ROOM, self.channel_name)
        raise StopConsumer

    async def room_tick(self, event: dict[str, Any]) -> None:
        await self._say(event["text"])

    async def _say(self, text: str) -> None:
        await self.send_body(f"data: {text}\n\n".encode(), more_body=True)


def create() -> Any:
    """The ASGI application; servers call this once."""
    django.setup()
    return ProtocolTypeRouter({"http": StockStream.as_asgi(), "websocket": StockConsumer.as_asgi()})
