"""Events whose handlers say what data they take: how it is read, and what is answered."""

from __future__ import annotations

import dataclasses
import datetime
import uuid
import zoneinfo
from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator
from typing_extensions import TypedDict

from arcly_channels import GatewayConsumer, InvalidPayload, subscribe
from arcly_channels.layers import LocalChannelLayer
from tests.gateways import Socket, connected

pytestmark = pytest.mark.usefixtures("layer")


class SendMessage(BaseModel):
    room: str = Field(max_length=20)
    text: str = Field(min_length=1)
    at: datetime.datetime | None = None

    @field_validator("room")
    @classmethod
    def is_open(cls, room: str) -> str:
        if room == "cellar":
            raise ValueError("the cellar is closed")
        return room


@dataclasses.dataclass
class Move:
    x: int
    y: int = 0


class Options(TypedDict, total=False):
    volume: int


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]


class Node(BaseModel):
    name: str
    children: list[Node] = []


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


class Typed(GatewayConsumer):
    @subscribe("message.send")
    async def send_message(self, data: SendMessage) -> None:
        await self.emit("sent", [type(data).__name__, data.room, data.text, str(data.at)])

    @subscribe("move")
    async def move(self, data: Move) -> None:
        await self.emit("moved", [type(data).__name__, data.x, data.y])

    @subscribe("options")
    async def options(self, data: Options) -> None:
        await self.emit("set", data)

    @subscribe("name")
    async def name(self, data: Annotated[str, Field(max_length=5)]) -> None:
        await self.emit("named", data)

    @subscribe("count")
    async def count(self, data: int | None) -> None:
        await self.emit("counted", data)

    @subscribe("pet")
    async def pet(self, data: Pet) -> None:
        await self.emit("petted", type(data).__name__)

    @subscribe("tree")
    async def tree(self, data: Node) -> None:
        await self.emit("grown", data)

    @subscribe("pair")
    async def pair(self, data: tuple[int, str]) -> None:
        await self.emit("paired", type(data).__name__)

    @subscribe("ids")
    async def ids(self, data: dict[str, uuid.UUID]) -> None:
        await self.emit("identified", list(data))

    @subscribe("counts")
    async def counts(self, data: dict[int, int]) -> None: ...

    @subscribe("price")
    async def price(self, data: float) -> None: ...

    @subscribe("zone")
    async def zone(self, data: zoneinfo.ZoneInfo) -> None: ...

    @subscribe("numbers")
    async def numbers(self, data: list[int]) -> None:
        await self.emit("summed", sum(data))

    @subscribe("anything")
    async def anything(self, data: Any) -> None:
        await self.emit("got", data)

    @subscribe("unsaid")
    async def unsaid(self, data):  # type: ignore[no-untyped-def]  # As many write it.
        await self.emit("got", data)

    @subscribe("in a thread")
    def in_thread(self, data: Move) -> list[int]:
        return [data.x, data.y]

    @subscribe("rated", rate="1/h")
    async def rated(self, data: Move) -> None:
        await self.emit("moved", data.x)

    @subscribe("own")
    async def own(self, data: Move) -> None:
        raise InvalidPayload([{"path": "data.x", "message": "somebody is there"}])


@pytest.fixture
async def client(layer: LocalChannelLayer) -> AsyncIterator[Socket]:
    async with connected(Typed.as_asgi()) as socket:
        yield socket


async def refusal(client: Socket, event: str, data: Any) -> list[tuple[str, str]]:
    """Return the details of the error that an event is answered with."""
    await client.emit(event, data, ref=7)
    frame = await client.receive_json_from()
    assert (frame["event"], frame["data"]["code"]) == ("error", "invalid_payload")
    assert frame["ref"] == 7
    return [(each["path"], each["message"]) for each in frame["data"]["details"]]


async def test_data_is_read_into_a_model(client: Socket) -> None:
    await client.emit("message.send", {"room": "tea", "text": "hi", "at": "2026-01-02T03:04:05Z"})
    expected = ["SendMessage", "tea", "hi", "2026-01-02 03:04:05+00:00"]
    await client.expect("sent", expected)


@pytest.mark.parametrize(
    ("event", "data", "answer"),
    [
        ("move", {"x": 1}, ("moved", ["Move", 1, 0])),
        ("options", {"volume": 3}, ("set", {"volume": 3})),
        ("name", "Ann", ("named", "Ann")),
        ("count", None, ("counted", None)),
        ("count", 3, ("counted", 3)),
        ("pet", {"kind": "dog"}, ("petted", "Dog")),
        ("pair", [1, "a"], ("paired", "tuple")),
        ("ids", {"a": str(uuid.UUID(int=1))}, ("identified", ["a"])),
        ("anything", {"any": ["thing"]}, ("got", {"any": ["thing"]})),
        ("unsaid", [1], ("got", [1])),
    ],
)
async def test_data_is_read_into_any_type(
    client: Socket, event: str, data: Any, answer: tuple[str, Any]
) -> None:
    await client.emit(event, data)
    assert await client.receive_event() == answer


async def test_models_may_hold_themselves(client: Socket) -> None:
    tree = {"name": "a", "children": [{"name": "b", "children": []}]}
    await client.emit("tree", tree)
    await client.expect("grown", tree)


async def test_missing_data_is_null(client: Socket) -> None:
    await client.send_to('{"event":"count"}')
    await client.expect("counted", None)
    await client.send_to('{"event":"move","ref":1}')
    details = (await client.receive_json_from())["data"]["details"]
    assert [each["path"] for each in details] == ["data"]


async def test_handler_in_a_thread_takes_a_type_as_well(layer: LocalChannelLayer) -> None:
    async with connected(Typed.as_asgi(), subprotocols=["arcly.v1"]) as client:
        assert await client.request("in a thread", {"x": 1, "y": 2}) == [1, 2]


async def test_every_fault_is_named_with_its_path(client: Socket) -> None:
    assert await refusal(client, "message.send", {"room": "x" * 21}) == [
        ("data.room", "String should have at most 20 characters"),
        ("data.text", "Field required"),
    ]


@pytest.mark.parametrize(
    ("event", "data", "path"),
    [
        ("tree", {"name": "a", "children": [{"name": "b"}, {"name": 3}]}, "data.children[1].name"),
        ("ids", {"a b": "x"}, "data['a b']"),
        ("numbers", [1, "x"], "data[1]"),
        ("name", 3, "data"),
    ],
)
async def test_path_is_that_of_the_value(client: Socket, event: str, data: Any, path: str) -> None:
    assert [where for where, _ in await refusal(client, event, data)] == [path]


async def test_handler_does_not_run_and_the_socket_stays_open(client: Socket) -> None:
    await refusal(client, "move", "nowhere")
    await client.expect_nothing()


async def test_words_of_a_validator_are_handed_on(client: Socket) -> None:
    details = await refusal(client, "message.send", {"room": "cellar", "text": "hi"})
    assert details == [("data.room", "the cellar is closed")]


async def test_handler_may_find_faults_of_its_own(client: Socket) -> None:
    assert await refusal(client, "own", {"x": 1}) == [("data.x", "somebody is there")]


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("move", {"x": "SECRET"}),
        ("move", "SECRET"),
        ("pet", {"kind": "SECRET"}),
        ("pet", {"kind": "cat", "lives": "SECRET"}),
        ("ids", {"a": "SECRET"}),
        ("name", "SECRET"),
        ("message.send", {"room": "tea", "text": "hi", "at": "SECRET"}),
        ("numbers", ["SECRET"]),
        ("zone", "SECRET"),
        ("zone", ["SECRET"]),
    ],
)
async def test_values_are_never_echoed(client: Socket, event: str, data: Any) -> None:
    await client.emit(event, data)
    frame = await client.receive_json_from()
    assert frame["data"]["code"] == "invalid_payload"
    assert not any(word in str(frame) for word in ("SECRET", "`S`"))


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "9" * 400])
async def test_number_that_is_none_in_json_is_malformed(client: Socket, number: str) -> None:
    await client.send_to(f'{{"event":"price","data":{number}}}')
    await client.expect_error("malformed")


async def test_long_names_of_fields_are_cut(client: Socket) -> None:
    details = await refusal(client, "ids", {"k" * 10_000: 1})
    assert len(details[0][0]) < 100


async def test_so_many_faults_are_counted_only(client: Socket) -> None:
    assert await refusal(client, "numbers", ["x"] * 1000) == [("data", "1000 values are wrong")]


async def test_data_of_very_many_values_is_not_looked_at(client: Socket) -> None:
    assert await refusal(client, "numbers", [1] * 30_000) == [("data", "more than 20000 values")]


async def test_data_of_many_keys_that_may_have_one_hash_is_not_looked_at(client: Socket) -> None:
    same = {str(number * (2**61 - 1)): 1 for number in range(3000)}
    assert await refusal(client, "counts", same) == [("data", "more than 2000 values")]
    await client.emit("ids", {str(number): str(uuid.UUID(int=number)) for number in range(3000)})
    assert (await client.receive_event())[0] == "identified"


async def test_commas_in_a_text_are_no_values(client: Socket) -> None:
    await client.emit("message.send", {"room": "tea", "text": "," * 30_000})
    await client.expect("sent")


async def test_untyped_events_may_have_more_values(client: Socket) -> None:
    await client.emit("anything", [1] * 30_000)
    assert (await client.receive_event())[0] == "got"


async def test_wrong_data_counts_against_the_rate(client: Socket) -> None:
    await refusal(client, "rated", {"x": "x"})
    await client.emit("rated", {"x": 1})
    await client.expect_error("rate_limited")


async def test_who_may_not_send_an_event_does_not_learn_what_it_takes() -> None:
    class Guarded(GatewayConsumer):
        @subscribe("move", roles="admin")
        async def move(self, data: Move) -> None: ...

    async with connected(Guarded.as_asgi()) as client:
        await client.emit("move", {"x": "wrong"})
        await client.expect_error("forbidden")


async def test_failure_of_a_validator_is_a_failure_of_the_server(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with connected(Broken.as_asgi()) as client:
        await client.emit("break", {"x": 1})
        await client.expect_error("internal")
    assert "Broken.fail failed" in caplog.text


class Fragile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    x: int

    @field_validator("x")
    @classmethod
    def fails(cls, x: int) -> int:
        return x // 0


class Broken(GatewayConsumer):
    @subscribe("break")
    async def fail(self, data: Fragile) -> None: ...
