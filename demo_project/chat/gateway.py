"""The chat itself: who is in which room, and what they write to each other."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import quote

from asgiref.sync import sync_to_async
from django.core.cache import cache
from pydantic import AfterValidator, BaseModel, Field

from arcly_channels import CloseCode, EventRefused, GatewayConsumer, Refused, subscribe

MAX_TEXT = 2000  # In characters.

KICKED = "you were kicked; come back in a few minutes"

TURNING = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A)])
"""The characters that turn the direction of a line, for `str.translate` to drop."""


def plain(text: str) -> str:
    """Return a text without those characters; raise `ValueError` where nothing is left to see."""
    text = text.translate(TURNING)
    if not text.strip():
        raise ValueError("A message needs some text.")
    return text


class Place(BaseModel):
    """A room that the client is in."""

    room: str


class NewMessage(Place):
    text: Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(plain)]


class Author(BaseModel):
    """Who somebody is, as the token says."""

    sub: str
    name: str
    role: Literal["guest", "member", "moderator"]


class Typing(BaseModel):
    room: str
    author: Author = Field(serialization_alias="from")


class Message(Typing):
    text: str


class Notice(BaseModel):
    """What a moderator has done; a view tells it."""

    text: str


class ChatGateway(GatewayConsumer):
    """One browser tab in its tenant's chat. It may write to the rooms that it is in."""

    require_claims = True  # Everybody has a token, guests too.
    sends = {"message.receive": Message, "message.typing": Typing, "notice": Notice}  # noqa: RUF012

    async def authorize(self) -> None:
        if await sync_to_async(is_kicked)(self.claims):
            raise Refused(CloseCode.FORBIDDEN, KICKED)

    async def on_connect(self) -> None:
        self.author = Author.model_validate(self.claims)

    async def may_join(self, room: str) -> None:
        """Let everybody into any room of the tenant: MAX_ROOMS_PER_CONNECTION says how many."""

    @subscribe("message.send")
    async def send_message(self, data: NewMessage) -> None:
        """Send a message to everybody in a room, the sender included."""
        self.check_is_in(data.room)
        message = Message(room=data.room, text=data.text, author=self.author)
        await self.broadcast_to_room(data.room, "message.receive", message)

    @subscribe("message.typing", rate="1/s", burst=5)  # The page says so every other second.
    async def tell_typing(self, data: Place) -> None:
        """Tell the others in a room that the sender is writing."""
        self.check_is_in(data.room)
        typing = Typing(room=data.room, author=self.author)
        await self.broadcast_to_room(data.room, "message.typing", typing, exclude_self=True)

    def check_is_in(self, room: str) -> None:
        """Refuse an event for a room that the client is not in."""
        if not self.client.is_in_room(room):
            raise EventRefused("not_in_room", "Join the room before you write to it.")


def kicked(sub: str) -> str:
    """Return the key by which the cache, which all processes share, has who is kept out."""
    return f"kicked:{quote(sub)}"


def is_kicked(claims: Any) -> bool:
    return claims is not None and bool(cache.get(kicked(claims["sub"])))
