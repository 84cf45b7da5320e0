"""The chat itself: who is in which room, and what they write to each other."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from asgiref.sync import sync_to_async
from django.core.cache import cache

from arcly_channels import CloseCode, EventRefused, GatewayConsumer, Refused, subscribe

MAX_TEXT = 2000  # In characters.
MAX_ROOMS = 50  # That one client may be in at a time.

KICKED = "you were kicked; come back in a few minutes"

TURNING = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])
"""The characters that turn the direction of a line, for `str.translate` to drop."""


class ChatGateway(GatewayConsumer):
    """One browser tab in its tenant's chat. It may write to the rooms that it has joined."""

    require_claims = True  # Everybody has a token, guests too.

    async def authorize(self) -> None:
        if await sync_to_async(is_kicked)(self.claims):
            raise Refused(CloseCode.FORBIDDEN, KICKED)

    async def on_connect(self) -> None:
        claims: Any = self.claims
        self.author = {key: claims[key] for key in ("sub", "name", "role")}
        self.rooms: set[str] = set()

    @subscribe("room.join")
    async def join(self, data: Any) -> None:
        room = field(data, "room")
        if len(self.rooms) == MAX_ROOMS:
            raise EventRefused("too_many_rooms", f"You are in {MAX_ROOMS} rooms; leave one first.")
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
            raise EventRefused("not_in_room", "Join the room before you write to it.")
        if not isinstance(text, str) or len(text) > MAX_TEXT:
            raise EventRefused("invalid_text", f"A message has at most {MAX_TEXT} characters.")
        text = text.translate(TURNING)
        if not text.strip():
            raise EventRefused("invalid_text", "A message needs some text.")
        message = {"room": room, "text": text, "from": self.author}
        await self.broadcast_to_room(room, "message.receive", message)


def field(data: Any, name: str) -> Any:
    """Return a field of a payload, which the client may have sent in any shape."""
    return data.get(name) if isinstance(data, dict) else None


def kicked(sub: str) -> str:
    """Return the key by which the cache, which all processes share, has who is kept out."""
    return f"kicked:{quote(sub)}"


def is_kicked(claims: Any) -> bool:
    return claims is not None and bool(cache.get(kicked(claims["sub"])))
