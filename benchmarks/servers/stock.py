"""Channels as its tutorial uses it: an `AsyncWebsocketConsumer`, a group, the in-memory layer."""

from __future__ import annotations

import json
from typing import Any

import django
from channels.generic.websocket import AsyncWebsocketConsumer

from .commands import MEMBER_PATH, READY, ROOM, Commands, tick_text

COMMANDS = Commands()


class StockConsumer(AsyncWebsocketConsumer):
    channel_layer_alias = "stock"

    async def connect(self) -> None:
        await self.accept()
        if self.scope["path"] == MEMBER_PATH:
            await self.channel_layer.group_add(ROOM, self.channel_name)
        await self.send(text_data=READY)

    async def disconnect(self, code: int) -> None:
        await self.channel_layer.group_discard(ROOM, self.channel_name)

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        command = json.loads(text_data or "")
        if command["event"] == "join":
            await self.channel_layer.group_add(command["data"]["room"], self.channel_name)
            return
        reply = await COMMANDS.obey(command["event"], command["data"], self._tick)
        if reply is not None:
            await self.send(text_data=json.dumps({"event": "done", "data": reply}))

    async def room_tick(self, event: dict[str, Any]) -> None:
        await self.send(text_data=event["text"])

    async def _tick(self, number: int, size: int) -> None:
        await self.channel_layer.group_send(
            ROOM, {"type": "room.tick", "text": tick_text(number, size)}
        )


def create() -> Any:
    """The ASGI application; servers call this once."""
    django.setup()
    return StockConsumer.as_asgi()
