"""What handlers with a return type reply, and what gateways that say what they send may send."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel, Field, field_serializer

from arcly_channels import GatewayConsumer, PayloadMismatch, broadcast, subscribe
from arcly_channels.layers import LocalChannelLayer
from tests.gateways import Socket, connected

pytestmark = pytest.mark.usefixtures("layer")
NOON = datetime.datetime(2026, 1, 2, 12, tzinfo=datetime.timezone.utc)


class Message(BaseModel):
    text: str
    sender: str = Field(default="nobody", alias="from")
    at: datetime.datetime = NOON


class Price(BaseModel):
    amount: Decimal

    @field_serializer("amount")
    def as_cents(self, amount: Decimal) -> int:
        return int(amount * 100)


@dataclasses.dataclass
class Place:
    x: int
    at: datetime.datetime


WRITTEN = {"text": "hi", "from": "nobody", "at": "2026-01-02T12:00:00Z"}


class Replying(GatewayConsumer):
    @subscribe("model")
    async def model(self, data: Any) -> Message:
        return Message(text="hi")

    @subscribe("models")
    async def models(self, data: Any) -> list[Message]:
        return [Message(text="hi")]

    @subscribe("dict")
    async def a_dict(self, data: Any) -> Message:
        return data  # type: ignore[no-any-return]  # Which is what is tried.

    @subscribe("price")
    async def price(self, data: Any) -> Price:
        return Price(amount=Decimal("1.5"))

    @subscribe("number")
    async def number(self, data: Any) -> int:
        return data  # type: ignore[no-any-return]  # As above.

    @subscribe("untyped")
    async def untyped(self, data: Any) -> Any:
        return {"nested": [Message(text="hi")]}

    @subscribe("nothing")
    async def nothing(self, data: Any) -> None: ...


@pytest.fixture
async def client(layer: LocalChannelLayer) -> AsyncIterator[Socket]:
    async with connected(Replying.as_asgi(), subprotocols=["arcly.v1"]) as socket:
        yield socket


async def reply(client: Socket, event: str, data: Any = None) -> tuple[str, Any]:
    await client.emit(event, data, ref=1)
    return await client.receive_event()


@pytest.mark.parametrize(
    ("event", "data", "replied"),
    [
        ("model", None, WRITTEN),
        ("models", None, [WRITTEN]),
        ("dict", WRITTEN, WRITTEN),
        ("price", None, {"amount": 150}),
        ("number", 3, 3),
        ("untyped", None, {"nested": [WRITTEN]}),
        ("nothing", None, None),
    ],
)
async def test_reply_is_written_as_its_type_says(
    client: Socket, event: str, data: Any, replied: Any
) -> None:
    assert await reply(client, event, data) == ("gateway:reply", replied)


@pytest.mark.parametrize(("event", "data"), [("dict", {"text": 3}), ("number", "3")])
async def test_wrong_reply_is_an_error_in_development(
    client: Socket, caplog: pytest.LogCaptureFixture, event: str, data: Any
) -> None:
    assert (await reply(client, event, data))[1]["code"] == "internal"
    assert "PayloadMismatch" in caplog.text
    assert "the type of its return" in caplog.text


async def test_wrong_reply_is_sent_in_production(
    client: Socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arcly_channels.gateway.answers.is_under_development", lambda: False)
    assert await reply(client, "number", "3") == ("gateway:reply", "3")


# What a gateway says in `sends`


class Sending(GatewayConsumer):
    sends: ClassVar[Mapping[str, Any]] = {
        "message": Message,
        "place": Place,
        "price": Price,
        "tags": list[str],
        "none": None,
    }


async def handle(client_of: type[GatewayConsumer] = Sending) -> AsyncIterator[Any]:
    instances: list[GatewayConsumer] = []

    class Noted(client_of):  # type: ignore[misc, valid-type]  # Whichever is given.
        async def on_connect(self) -> None:
            instances.append(self)

    async with connected(Noted.as_asgi()) as socket:
        yield instances[0], socket


@pytest.fixture
async def sending(layer: LocalChannelLayer) -> AsyncIterator[Any]:
    async for each in handle():
        yield each


@pytest.mark.parametrize(
    ("event", "data", "written"),
    [
        ("message", Message(text="hi"), WRITTEN),
        ("message", WRITTEN, WRITTEN),
        ("message", {"text": "hi", "at": NOON}, {"text": "hi", "at": "2026-01-02T12:00:00Z"}),
        ("place", Place(1, NOON), {"x": 1, "at": "2026-01-02T12:00:00Z"}),
        ("price", Price(amount=Decimal(2)), {"amount": 200}),
        ("tags", ("a", "b"), ["a", "b"]),
        ("none", None, None),
    ],
)
async def test_what_is_said_may_be_sent(sending: Any, event: str, data: Any, written: Any) -> None:
    gateway, client = sending
    await gateway.emit(event, data)
    await client.expect(event, written)


@pytest.mark.parametrize(
    ("event", "data", "problem"),
    [
        ("message", {"text": 3}, r"data\.text: Input should be a valid string"),
        ("message", {}, r"data\.text: Field required"),
        ("place", {"x": "1", "at": NOON}, r"data\.x: Input should be a valid integer"),
        ("tags", [1], r"data\[0\]"),
        ("other", None, r"Noted sends 'other', which is not in its `sends`"),
    ],
)
async def test_anything_else_raises_in_development(
    sending: Any, event: str, data: Any, problem: str
) -> None:
    gateway, client = sending
    for send in (gateway.emit, gateway.broadcast, gateway.client.emit):
        with pytest.raises(PayloadMismatch, match=problem):
            await send(event, data)
    with pytest.raises(PayloadMismatch, match=problem):
        await gateway.broadcast_to_room("tea", event, data)
    await client.expect_nothing()


async def test_anything_may_be_sent_in_production(
    layer: LocalChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("arcly_channels.gateway.declaration.is_under_development", lambda: False)
    async for gateway, client in handle():
        await gateway.emit("other", {"text": 3})
        await client.expect("other", {"text": 3})


async def test_bases_say_what_they_send_as_well(layer: LocalChannelLayer) -> None:
    class Mixin:
        sends: ClassVar[Mapping[str, Any]] = {"tags": list[int], "more": int}

    class Both(Mixin, Sending): ...

    async for gateway, client in handle(Both):
        await gateway.emit("tags", [1])
        await gateway.emit("more", 1)
        await gateway.emit("none")
        assert [(await client.receive_json_from())["event"] for _ in range(3)] == [
            "tags",
            "more",
            "none",
        ]


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        (["message"], r"Wrong\.sends is a dict"),
        ({"gateway:message": int}, r"Wrong\.sends has 'gateway:message'"),
        ({3: int}, r"Wrong\.sends has 3"),
        ({"message": object()}, r"Wrong\.sends\['message'\] is <object"),
    ],
)
def test_what_says_nothing_fails_when_the_class_is_made(said: Any, problem: str) -> None:
    with pytest.raises(TypeError, match=problem):
        type("Wrong", (GatewayConsumer,), {"sends": said})


def test_name_without_its_last_letter_fails_when_the_class_is_made() -> None:
    with pytest.raises(TypeError, match=r"nobody reads Wrong\.send: did you mean sends\?"):
        type("Wrong", (GatewayConsumer,), {"send": {"message": int}})


def test_what_is_said_belongs_into_the_class() -> None:
    with pytest.raises(TypeError, match="sends is said in the class"):
        Sending.as_asgi(sends={})


async def test_models_are_sent_from_anywhere(layer: LocalChannelLayer) -> None:
    async with connected(Replying.as_asgi()) as client:
        broadcast("message", {"first": Message(text="hi")})
        await client.expect("message", {"first": WRITTEN})
