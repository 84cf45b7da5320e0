"""`arcly.v1` and the bare envelope, as clients in one process see them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from arcly_channels import EventRefused, GatewayConsumer, abroadcast_to_room, subscribe
from arcly_channels.layers import LocalChannelLayer
from arcly_channels.testing import GatewayCommunicator
from arcly_channels.wire import protocol
from arcly_channels.wire.envelope import Ref

pytestmark = pytest.mark.usefixtures("layer")


class Chat(GatewayConsumer):
    async def may_join(self, room: str) -> None:
        if room == "staff":
            raise EventRefused("forbidden", "staff only")

    @subscribe("say")
    async def say(self, data: Any) -> dict[str, Any]:
        await self.broadcast_to_room("tea", "said", data)
        return {"id": 9}

    @subscribe("enter")
    async def enter(self, data: Any) -> None:
        await self.join_room(data)

    @subscribe("shout")
    async def shout(self, data: Any) -> None:
        await self.emit("first")
        await self.broadcast("shouted", data)

    @subscribe("late")
    async def late(self, data: Any) -> None:
        raise EventRefused("rate_limited", "not so fast", retry_after=2)

    @subscribe("object")
    async def an_object(self, data: Any) -> object:
        return object()

    @subscribe("leave")
    async def go(self, data: Any) -> None:
        await self.emit("last")
        await self.close(4001, "enough")


class Client(GatewayCommunicator):
    """A client whose gateway may fail."""

    def __init__(self, gateway: type[GatewayConsumer] = Chat, *, is_v1: bool = True) -> None:
        offered = [protocol.SUBPROTOCOL] if is_v1 else []
        super().__init__(gateway.as_asgi(), subprotocols=offered, raise_errors=False)

    async def __aenter__(self) -> Client:
        await self.connect()
        return self

    async def ask(self, event: str, data: Any = None, *, ref: Ref = None) -> Any:
        """Send an event, and return the next frame."""
        await self.emit(event, data, ref=ref)
        return await self.receive_json_from()


@pytest.fixture
async def v1() -> AsyncIterator[Client]:
    """A client of `arcly.v1` that was welcomed."""
    async with Client() as client:
        yield client


@pytest.fixture
async def bare() -> AsyncIterator[Client]:
    async with Client(is_v1=False) as client:
        yield client


# Welcome, and bye


async def test_welcome_comes_first_and_says_what_counts(settings: Any) -> None:
    class Greeting(Chat):
        async def on_connect(self) -> None:
            await self.emit("hello")

    settings.ARCLY_CHANNELS = {"MAX_ROOMS_PER_CONNECTION": 7, "RECONNECT_RATE": 1}
    async with Client(Greeting) as client:
        welcome = client.welcome
        assert sorted(welcome) == ["id", "limits", "ping", "pong", "spread", "time"]
        assert (welcome["ping"], welcome["pong"]) == (20, True)
        assert welcome["limits"] == {"frame": 1024 * 1024, "rooms": 7}
        await client.expect("hello")


async def test_welcome_says_when_claims_end() -> None:
    client = await Client().connect(claims={"sub": "ann", "exp": 2**33})
    assert client.welcome["exp"] == 2**33
    await client.disconnect()


async def test_every_connection_has_an_id_of_its_own(layer: LocalChannelLayer, v1: Client) -> None:
    async with Client() as other:
        ids = {client.welcome["id"] for client in (v1, other)}
    assert [id.startswith(f"{layer.node}-") for id in ids] == [True, True]


async def test_bye_comes_last_and_says_what_to_do(v1: Client) -> None:
    await v1.emit("leave")
    await v1.expect("last")
    await v1.expect_close(4001)
    assert v1.bye == {"code": 4001, "reason": "enough", "reconnect": "no"}


async def test_bye_passes_a_full_outbox(settings: Any, layer: LocalChannelLayer) -> None:
    settings.ARCLY_CHANNELS = {"OUTBOUND_BUFFER": 1}
    async with Client() as client:
        for number in range(2):
            layer.registry.broadcast_text(str(number))  # The second finds no room and evicts.
        assert await client.receive_from() == "0"
        await client.expect_close(4008)
    assert client.bye == {
        "code": 4008,
        "reason": "too much was waiting for this client",
        "reconnect": "yes",
        "after": 1000,
        "spread": 4000,
    }


async def test_bye_says_why_where_the_close_does_not(
    layer: LocalChannelLayer, v1: Client, bare: Client
) -> None:
    layer.registry.close_all()
    assert (await v1.expect("gateway:bye"))["reason"] == "the server restarts"
    closes = [await client.receive_output() for client in (v1, bare)]
    assert closes == [{"type": "websocket.close", "code": 1012, "reason": ""}] * 2


async def test_bye_spreads_those_who_come_back(
    settings: Any, layer: LocalChannelLayer, v1: Client, bare: Client
) -> None:
    settings.ARCLY_CHANNELS = {"RECONNECT_RATE": 1}
    layer.registry.close_all()
    assert (await v1.expect("gateway:bye"))["spread"] == 2000


# Requests


async def test_may_join_that_answers_lets_nobody_in(caplog: pytest.LogCaptureFixture) -> None:
    class Careless(Chat):
        async def may_join(self, room: str) -> bool:  # type: ignore[override]
            return room != "staff"

    async with Client(Careless) as client:
        await client.emit("gateway:join", {"room": "staff"})
        await client.expect_error("internal")
        assert "may_join returned False: it says no by raising EventRefused" in caplog.text


async def test_what_a_handler_returns_is_the_reply(v1: Client) -> None:
    assert await v1.request("say", "hi") == {"id": 9}


async def test_nothing_returned_is_an_acknowledgement(v1: Client) -> None:
    await v1.emit("shout", "hi", ref="a")
    await v1.expect("first")
    await v1.expect("shouted")
    assert await v1.receive_json_from() == {"event": "gateway:reply", "data": None, "ref": "a"}


async def test_who_asks_for_no_reply_gets_none(v1: Client) -> None:
    await v1.emit("say", "hi")
    await v1.expect_nothing()


async def test_reply_that_cannot_be_written_is_an_error(v1: Client) -> None:
    assert await v1.ask("object", ref=3) == {
        "event": "error",
        "data": {"code": "internal", "message": "the server could not handle this"},
        "ref": 3,
    }


async def test_error_says_when_to_try_again(v1: Client) -> None:
    error = await v1.ask("late", ref=1)
    assert error["data"] == {"code": "rate_limited", "message": "not so fast", "retry_after": 2}


async def test_replies_come_in_the_order_of_requests(v1: Client) -> None:
    events = ["say", "nothing", "say", "gateway:ping", "late"]
    for ref, event in enumerate(events):
        await v1.emit(event, ref=ref)
    assert [(await v1.receive_json_from())["ref"] for _ in events] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("event", ["gateway:pong", "gateway:ping"])
async def test_signs_of_life_need_no_answer(v1: Client, event: str) -> None:
    await v1.emit(event)
    await v1.expect_nothing()


async def test_unknown_event_of_the_protocol_is_an_error(v1: Client) -> None:
    error = await v1.ask("gateway:nonsense", ref=1)
    assert error["data"]["code"] == "unknown_event"


# Rooms


async def test_client_joins_and_leaves_rooms_by_itself(v1: Client) -> None:
    assert await v1.ask("gateway:join", {"room": "tea"}, ref=8) == {
        "event": "gateway:joined",
        "data": {"room": "tea"},
        "ref": 8,
    }
    await abroadcast_to_room("tea", "said", "hi")
    await v1.expect("said", "hi", room="tea")
    assert await v1.ask("gateway:leave", {"room": "tea"}, ref=9) == {
        "event": "gateway:left",
        "data": {"room": "tea"},
        "ref": 9,
    }
    await abroadcast_to_room("tea", "said", "hi")
    await v1.expect_nothing()


@pytest.mark.parametrize(
    ("event", "room", "code"),
    [
        ("gateway:join", "staff", "forbidden"),
        ("gateway:join", "", "invalid_room"),
        ("gateway:join", 7, "invalid_room"),
        ("gateway:join", "x" * 201, "invalid_room"),
        ("gateway:leave", None, "invalid_room"),
    ],
)
async def test_room_that_cannot_be_joined_or_left(
    v1: Client, event: str, room: Any, code: str
) -> None:
    error = await v1.ask(event, {"room": room}, ref=1)
    assert (error["event"], error["data"]["code"], error["ref"]) == ("error", code, 1)


async def test_nobody_joins_where_the_gateway_does_not_say_who_may() -> None:
    async with Client(GatewayConsumer) as client:
        await client.emit("gateway:join", {"room": "tea"})
        await client.expect_error("forbidden")


async def test_joining_twice_is_told_twice(v1: Client) -> None:
    for ref in (1, 2):
        assert (await v1.ask("gateway:join", {"room": "tea"}, ref=ref))["ref"] == ref


async def test_leaving_where_one_is_not_is_answered(v1: Client) -> None:
    assert (await v1.ask("gateway:leave", {"room": "tea"}, ref=1))["event"] == "gateway:left"


async def test_handler_that_joins_has_the_client_told_before_its_own_reply(v1: Client) -> None:
    joined = await v1.ask("enter", "tea", ref=1)
    assert joined == {"event": "gateway:joined", "data": {"room": "tea"}}
    assert await v1.receive_json_from() == {"event": "gateway:reply", "data": None, "ref": 1}


async def test_nothing_of_a_room_comes_before_joined(v1: Client) -> None:
    """However the frames of others fall among the joining and leaving."""
    for _ in range(20):
        await v1.emit("gateway:join", {"room": "tea"})
        await abroadcast_to_room("tea", "said")
        await v1.emit("gateway:leave", {"room": "tea"})
        await abroadcast_to_room("tea", "said")
    await v1.emit("gateway:ping", ref=1)
    is_inside = False
    while (frame := await v1.receive_json_from()).get("ref") != 1:
        if frame["event"] in ("gateway:joined", "gateway:left"):
            is_inside = frame["event"] == "gateway:joined"
        else:
            assert is_inside


# Both dialects


async def test_bare_clients_get_what_they_always_got(v1: Client, bare: Client) -> None:
    for client in (v1, bare):
        await client.emit("enter", "tea")
    await v1.receive_from()  # It has joined.
    await bare.emit("nonsense", ref=1)
    assert await bare.receive_from() == (
        '{"event":"error","data":{"code":"unknown_event","message":"no event nonsense"},"ref":1}'
    )
    await bare.emit("say", {"text": "é"}, ref=2)
    assert await bare.receive_from() == '{"event":"said","data":{"text":"é"}}'
    assert await v1.receive_from() == '{"event":"said","data":{"text":"é"},"room":"tea"}'


@pytest.mark.parametrize("event", ["gateway:join", "gateway:leave", "gateway:ping"])
async def test_bare_clients_have_no_events_of_the_protocol(bare: Client, event: str) -> None:
    await bare.emit(event, {"room": "tea"})
    await bare.expect_error("unknown_event")


@pytest.mark.parametrize("name", ["gateway:x", "gateway:ping"])
async def test_names_of_the_protocol_are_nobodys(name: str, bare: Client) -> None:
    with pytest.raises(TypeError, match="the protocol's own"):
        subscribe(name)
    with pytest.raises(ValueError, match="the protocol's own"):
        await abroadcast_to_room("tea", name)
