"""Cursors of an editor: all that have a document open see where the others are in it."""

from __future__ import annotations

from secrets import token_hex
from typing import Annotated, Any

from pydantic import Field

from arcly_channels import EventRefused, GatewayConsumer, subscribe

DOCUMENTS = {"tea": "Warm the pot first.\nTea for each cup, and one for the pot.\nThen wait."}


class Cursors(GatewayConsumer):
    async def on_connect(self) -> None:
        self.who = token_hex(4)  # `id` is of this process, and another may have the same.
        self.room = ""

    @subscribe("document.open", rate="1/s", burst=5)
    async def open(self, name: str) -> str:
        """Reply with the text, and have the others say where they are, which is kept nowhere."""
        if name not in DOCUMENTS or self.room:
            raise EventRefused("no_such_document", "Open tea, and only once.")
        self.room = f"document {name}"
        await self.join_room(self.room)
        await self.tell_others("cursor.came")
        return DOCUMENTS[name]

    @subscribe("cursor.move", rate="20/s")
    async def move(self, at: Annotated[int, Field(ge=0, le=100_000)]) -> None:
        await self.tell_others("cursor.moved", at=at)

    async def on_disconnect(self, code: int) -> None:
        await self.tell_others("cursor.left")

    async def tell_others(self, event: str, **more: Any) -> None:
        if self.room:
            data = {"who": self.who, **more}
            await self.broadcast_to_room(self.room, event, data, exclude_self=True)
