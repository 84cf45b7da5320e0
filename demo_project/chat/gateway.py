"""The chat itself: who is in which room, and what they write to each other."""

from __future__ import annotations

from typing import Any

from arcly_channels import GatewayConsumer, subscribe

MAX_TEXT = 2000
"""In characters."""

MAX_ROOMS = 50
"""That one client may be in at a time."""


class ChatGateway(GatewayConsumer):
    """One browser tab in its tenant's chat. It may write to the rooms that it has joined."""

    async def on_connect(self) -> None:
        # The session was loaded by AuthMiddlewareStack, so this does not touch the database.
        picked = self.scope["session"].get("name") or f"guest {self.id}"
        self.name: str = self.claims["sub"] if self.claims else picked
        self.rooms: set[str] = set()

    @subscribe("room.join")
    async def join(self, data: Any) -> None:
        room = field(data, "room")
        if len(self.rooms) == MAX_ROOMS:
            await self.complain("too_many_rooms", f"You are in {MAX_ROOMS} rooms; leave one first.")
            return
        await self.join_room(room)  # Answers for itself when it is no name of a room.
        self.rooms.add(room)

    @subscribe("room.leave")
    async def leave(self, data: Any) -> None:
        room = field(data, "room")
        await self.leave_room(room)
        self.rooms.discard(room)

    @subscribe("message.send")
    async def send_message(self, data: Any) -> None:
        room, text = field(data, "room"), field(data, "text")
        if not isinstance(room, str) or room not in self.rooms:
            await self.complain("not_in_room", "Join the room before you write to it.")
        elif not isinstance(text, str) or not text.strip():
            await self.complain("invalid_text", "A message needs some text.")
        elif len(text) > MAX_TEXT:
            await self.complain("invalid_text", f"A message has at most {MAX_TEXT} characters.")
        else:
            message = {"room": room, "text": text, "from": self.name}
            await self.broadcast_to_room(room, "message.receive", message)

    async def complain(self, code: str, message: str) -> None:
        await self.emit("error", {"code": code, "message": message})


def field(data: Any, name: str) -> Any:
    """Return a field of a payload, which the client may have sent in any shape."""
    return data.get(name) if isinstance(data, dict) else None
