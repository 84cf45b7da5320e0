"""The note of `typed`, asked for and answered as chanx's documentation says."""

from __future__ import annotations

from typing import Any, Literal

import django

django.setup()

from chanx.channels.websocket import AsyncJsonWebsocketConsumer  # noqa: E402
from chanx.core.decorators import ws_handler  # noqa: E402
from chanx.messages.base import BaseMessage  # noqa: E402

from .typed import Note  # noqa: E402


class Echo(BaseMessage):
    action: Literal["echo"] = "echo"
    payload: Note


class Done(BaseMessage):
    action: Literal["done"] = "done"
    payload: Note


class Ready(BaseMessage):
    action: Literal["ready"] = "ready"
    payload: None = None


class ChanxConsumer(AsyncJsonWebsocketConsumer):
    channel_layer_alias = "stock"

    async def post_authentication(self) -> None:
        await self.send_message(Ready())

    @ws_handler
    async def echo(self, message: Echo) -> Done:
        return Done(payload=message.payload)


def create() -> Any:
    """The ASGI application; servers call this once."""
    return ChanxConsumer.as_asgi()
