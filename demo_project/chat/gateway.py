"""The chat itself: who is in which room, and what they write to each other."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from asgiref.sync import sync_to_async
from django.core.cache import cache

from arcly_channels import CloseCode, EventRefused, GatewayConsumer, Refused, subscribe

MAX_TEXT = 2000  # In characters.

KICKED = "you were kicked; come back in a few minutes"

TURNING = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])
"""The characters that turn the direction of a line, for `str.translate` to drop."""


class ChatGateway(GatewayConsumer):
    """One browser tab in its tenant's chat. It may write to the rooms that it is in."""

    require_claims = True  # Everybody has a token, guests too.

    async def authorize(self) -> None:
        if await sync_to_async(is_kicked)(self.claims):
            raise Refused(CloseCode.FORBIDDEN, KICKED)

    async def on_connect(self) -> None:
        claims: Any = self.claims
        self.author = {key: claims[key] for key in ("sub", "name", "role")}

    async def may_join(self, room: str) -> None:
        """Let everybody into any room of the tenant: MAX_ROOMS_PER_CONNECTION says how many."""

    @subscribe("message.send")
    async def send_message(self, data: Any) -> None:
        room, text = self.room_of(data), field(data, "text")
        if not isinstance(text, str) or len(text) > MAX_TEXT:
            raise EventRefused("invalid_text", f"A message has at most {MAX_TEXT} characters.")
        text = text.translate(TURNING)
        if not text.strip():
            raise EventRefused("invalid_text", "A message needs some text.")
        message = {"room": room, "text": text, "from": self.author}
        await self.broadcast_to_room(room, "message.receive", message)

    @subscribe("message.typing", rate="1/s", burst=5)  # The page says so every other second.
    async def tell_typing(self, data: Any) -> None:
        room = self.room_of(data)
        typing = {"room": room, "from": self.author}
        await self.broadcast_to_room(room, "message.typing", typing, exclude_self=True)

    def room_of(self, data: Any) -> str:
        """Return the room of a payload, which the client has to be in."""
        room = field(data, "room")
        if not self.client.is_in_room(room):
            raise EventRefused("not_in_room", "Join the room before you write to it.")
        return str(room)


def field(data: Any, name: str) -> Any:
    """Return a field of a payload, which the client may have sent in any shape."""
    return data.get(name) if isinstance(data, dict) else None


def kicked(sub: str) -> str:
    """Return the key by which the cache, which all processes share, has who is kept out."""
    return f"kicked:{quote(sub)}"


def is_kicked(claims: Any) -> bool:
    return claims is not None and bool(cache.get(kicked(claims["sub"])))
