"""Gateways with types of many kinds, for tests of what is said of them."""

from __future__ import annotations

import datetime
import enum
import uuid
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.routing import ProtocolTypeRouter, URLRouter
from django.urls import path
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from arcly_channels import GatewayConsumer, subscribe
from arcly_channels.identity import IdentityMiddlewareStack, SameHostOriginValidator


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = 9


class Dog(BaseModel):
    """Ends no comment: */ at all."""

    model_config = {"extra": "allow"}
    kind: Literal["dog"]


class Branch(BaseModel):
    leaves: list[int]
    branches: list[Branch] = []


class Part(TypedDict, total=False):
    size: int


@dataclass
class Point:
    x: float
    y: float


class Everything(BaseModel):
    pet: Cat | Dog = Field(discriminator="kind")
    place: tuple[int, str] = Field(description="Where it is.")
    row: tuple[int, ...]
    when: datetime.datetime
    id: uuid.UUID
    colour: Colour = Colour.RED
    note: str | None = None
    table: dict[str, list[int | None]]
    tree: Branch = Field(description="A tree.")
    number: int = Field(alias="the-number", ge=1)
    moves: list[tuple[float, Point]]


class Zoo(GatewayConsumer):
    """A zoo with many animals. It is open.

    Even at night.
    """

    sends = {"moved": tuple[int, Point], "full/house": None, "part": Part}  # noqa: RUF012
    required_perms = "zoo:enter"

    async def may_join(self, room: str) -> None:
        """Let everybody see any animal."""

    @subscribe("keep", rate="5/m", timeout=3, roles="keeper", concurrency=2)
    async def keep(self, data: Everything) -> Everything | None:
        """Keep what is brought."""

    @subscribe("look")
    async def look(self, data: Point | None) -> list[Point]:
        return []

    @subscribe("feed")
    async def feed(self, data: Annotated[str, Field(max_length=9)]) -> None:
        pass

    @subscribe("ask")
    async def ask(self, data: Any) -> Any:
        pass


class Wild(GatewayConsumer):
    @subscribe("keep")
    async def keep(self, data):  # type: ignore[no-untyped-def]
        pass


class Stream(AsyncJsonWebsocketConsumer, GatewayConsumer):
    """Takes whatever comes."""

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        pass


known: Any = IdentityMiddlewareStack(Zoo.as_asgi())
routes = URLRouter(
    [
        path("zoo/<int:number>/<slug:name>/", known),
        path("inner/", URLRouter([path("wild/", Wild.as_asgi()), path("", Zoo.as_asgi())])),
        path("stream/", Stream.as_asgi()),
    ]
)
application = ProtocolTypeRouter({"websocket": SameHostOriginValidator(routes)})
