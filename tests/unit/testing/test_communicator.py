"""`GatewayCommunicator`: what it takes for right, and what it says when something is wrong."""

from __future__ import annotations

import asyncio
import datetime
import time
from typing import TYPE_CHECKING, Any, ClassVar
from unittest.mock import ANY

import pytest
from asgiref.sync import async_to_sync
from channels.exceptions import StopConsumer
from pydantic import BaseModel, Field

from arcly_channels import EventRefused, GatewayConsumer, InvalidPayload, Refused, subscribe
from arcly_channels.identity import Tenant
from arcly_channels.layers import LocalChannelLayer
from arcly_channels.testing import Clients, Clock, GatewayCommunicator

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pytest_django import Settings

V1 = "arcly.v1"


class Chat(GatewayConsumer):
    """Says what it is told to, and does what one does not expect."""

    async def authorize(self) -> None:
        if self.claims and self.claims["sub"] == "eve":
            raise Refused(4403, "not you")

    async def may_join(self, room: str) -> None:
        if room == "cellar":
            raise EventRefused("forbidden", "the cellar is closed")

    @subscribe("echo")
    async def echo(self, data: Any) -> Any:
        await self.emit("echo", data)
        return data

    @subscribe("say")
    async def say(self, data: Any) -> None:
        await self.broadcast_to_room("tea", "said", data)

    @subscribe("who")
    async def who(self, data: Any) -> None:
        scope = self.scope
        await self.emit("you", [self.claims, str(self.tenant), scope["user"], scope["more"]])

    @subscribe("refuse")
    async def refuse(self, data: Any) -> None:
        raise EventRefused("not_now", "come again", retry_after=2)

    @subscribe("check")
    async def check(self, data: Any) -> None:
        raise InvalidPayload([{"path": "data", "message": "is wrong"}])

    @subscribe("fail")
    async def fail(self, data: Any) -> None:
        raise LookupError("no such shelf")

    @subscribe("sleep")
    async def sleep(self, data: float) -> None:
        await asyncio.sleep(data)
        await self.emit("slept")

    @subscribe("stop")
    async def stop(self, data: Any) -> None:
        raise StopConsumer

    @subscribe("close")
    async def leave(self, data: int) -> None:
        await self.close(data)

    @subscribe("bytes")
    async def some_bytes(self, data: Any) -> None:
        await self.send(bytes_data=b"\x00")

    async def test_fail(self, message: Any) -> None:
        raise LookupError("no such message")


class Message(BaseModel):
    text: str
    sender: str = Field(alias="from")
    at: datetime.datetime | None = None


@pytest.fixture
async def ann(gateway_client: Clients) -> GatewayCommunicator:
    return await gateway_client(Chat.as_asgi()).connect()


@pytest.fixture
async def v1(gateway_client: Clients) -> GatewayCommunicator:
    return await gateway_client(Chat.as_asgi()).connect(subprotocol=V1)


# Who comes


async def test_client_is_who_it_is_said_to_be(gateway_client: Clients, settings: Settings) -> None:
    ann = gateway_client(Chat.as_asgi())
    await ann.connect(claims={"sub": "ann"}, tenant="acme", user="Ann", more=7)
    await ann.emit("who")
    await ann.expect("you", [{"sub": "ann"}, "acme", "Ann", 7])


async def test_claims_are_as_read_only_as_those_of_a_token(gateway_client: Clients) -> None:
    ann = await gateway_client(Chat.as_asgi()).connect(claims={"sub": "ann", "role": ["clerk"]})
    assert ann.scope["claims"]["role"] == ("clerk",)
    with pytest.raises(TypeError):
        ann.scope["claims"]["sub"] = "bob"


async def test_id_stands_for_the_tenant_of_the_settings(
    gateway_client: Clients, settings: Settings
) -> None:
    settings.ARCLY_CHANNELS = {"TENANTS": ["acme"], "TENANT_STRATEGY": {"HEADER": "X-Tenant"}}
    ann = await gateway_client(Chat.as_asgi()).connect(tenant="acme")
    assert ann.scope["tenant"] == Tenant("acme")


async def test_refusal_fails_who_wanted_to_come_in(gateway_client: Clients) -> None:
    eve = gateway_client(Chat.as_asgi())
    with pytest.raises(AssertionError, match="the client was refused with 4403"):
        await eve.connect(claims={"sub": "eve"})


@pytest.mark.parametrize("subprotocol", [None, V1])
async def test_refusal_may_be_expected(gateway_client: Clients, subprotocol: str | None) -> None:
    who: dict[str, Any] = {"claims": {"sub": "eve"}, "subprotocol": subprotocol}
    assert await gateway_client(Chat.as_asgi()).expect_refusal(**who) == 4403
    await gateway_client(Chat.as_asgi()).expect_refusal(4403, **who)
    with pytest.raises(AssertionError, match="refused with 4403, and 4401 was expected"):
        await gateway_client(Chat.as_asgi()).expect_refusal(4401, **who)


async def test_who_comes_in_was_not_refused(gateway_client: Clients) -> None:
    with pytest.raises(AssertionError, match="let in, and expected to be refused"):
        await gateway_client(Chat.as_asgi()).expect_refusal()


@pytest.mark.parametrize(
    "call",
    [
        lambda client: client.emit("echo", "Hello"),
        lambda client: client.expect("echo"),
        lambda client: client.expect_nothing(),
    ],
)
async def test_client_that_has_not_connected_is_told_to(
    gateway_client: Clients, call: Callable[[GatewayCommunicator], Awaitable[Any]]
) -> None:
    with pytest.raises(RuntimeError, match=r"await client\.connect\(\) first"):
        await call(gateway_client(Chat.as_asgi()))


async def test_client_of_v1_was_welcomed_and_knows_why_it_has_to_go(
    v1: GatewayCommunicator,
) -> None:
    assert (v1.subprotocol, v1.welcome["ping"]) == (V1, 20)
    await v1.emit("close", 4000)
    await v1.expect_close(4000)
    assert v1.bye["code"] == 4000


# What is expected


async def test_next_event_is_the_one_expected(ann: GatewayCommunicator) -> None:
    for number in range(3):
        await ann.emit("echo", number)
    assert await ann.expect("echo") == 0
    await ann.expect("echo", 1)
    with pytest.raises(AssertionError, match="echo came with something else than expected"):
        await ann.expect("echo", 1)


async def test_what_is_on_the_wire_is_compared(ann: GatewayCommunicator) -> None:
    at = datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)
    message = Message(text="Hello", at=at, **{"from": "ann"})
    await ann.emit("echo", (message, at))
    await ann.expect("echo", [{"text": "Hello", "from": "ann", "at": ANY}, "2026-01-02T00:00:00Z"])
    await ann.emit("echo", {"message": message, "when": ANY} | {"when": 1})
    await ann.expect("echo", {"message": message, "when": ANY})


@pytest.mark.parametrize(("came", "expected"), [(1, True), ([0], [False]), ({"a": True}, {"a": 1})])
async def test_true_is_not_one(ann: GatewayCommunicator, came: Any, expected: Any) -> None:
    await ann.emit("echo", came)
    with pytest.raises(AssertionError, match="echo came with something else than expected"):
        await ann.expect("echo", expected)
    await ann.emit("echo", came)
    await ann.expect("echo", came)


async def test_failure_shows_what_differs_and_all_frames(ann: GatewayCommunicator) -> None:
    await ann.emit("echo", {"text": "Hullo", "to": "bob"})
    with pytest.raises(AssertionError) as failure:
        await ann.expect("echo", {"text": "Hello", "to": "bob"})
    assert (
        str(failure.value)
        == """\
echo came with something else than expected
(- expected, + came)
  {
    "data": {
-     "text": "Hello",
+     "text": "Hullo",
      "to": "bob"
    }
  }

The frames so far, → from the client, ← to it:
    → connect
    ← accept
    → {"event":"echo","data":{"text":"Hullo","to":"bob"}}
    ← {"event":"echo","data":{"text":"Hullo","to":"bob"}}"""
    )


async def test_failure_shows_what_waits_as_well(ann: GatewayCommunicator) -> None:
    await ann.emit("echo", 1)
    await ann.emit("echo", 2)
    await ann.settle()
    with pytest.raises(AssertionError, match=r'← \{"event":"echo","data":2\}$'):
        await ann.expect("news")


async def test_room_is_compared_where_it_is_said(v1: GatewayCommunicator) -> None:
    await v1.join("tea")
    for _ in range(2):
        await v1.emit("say", "hi")
    await v1.expect("said", "hi", room="tea")
    with pytest.raises(AssertionError, match=r'\+   "room": "tea"'):
        await v1.expect("said", room="coffee")


async def test_what_does_not_come_is_waited_for_and_named(ann: GatewayCommunicator) -> None:
    ann.timeout = 0.01
    with pytest.raises(AssertionError, match=r"news was expected, and nothing came in 0\.01 s"):
        await ann.expect("news")


async def test_frame_that_is_no_event_is_shown(ann: GatewayCommunicator) -> None:
    await ann.emit("bytes")
    with pytest.raises(AssertionError, match=r"this is no event: b'\\x00'"):
        await ann.expect("news")


async def test_error_is_expected_by_its_code(ann: GatewayCommunicator) -> None:
    await ann.emit("refuse")
    assert (await ann.expect_error("not_now"))["retry_after"] == 2
    await ann.emit("refuse")
    with pytest.raises(AssertionError, match="the error not_there was expected"):
        await ann.expect_error("not_there")
    await ann.emit("echo")
    with pytest.raises(AssertionError, match="the error not_now was expected"):
        await ann.expect_error("not_now")


async def test_close_is_expected_by_its_code(gateway_client: Clients) -> None:
    ann, bob, eve = [await gateway_client(Chat.as_asgi()).connect() for _ in range(3)]
    for each in (ann, bob):
        await each.emit("close", 4000)
    assert await ann.expect_close() == 4000
    with pytest.raises(AssertionError, match="the gateway closed with 4000, and 4001"):
        await bob.expect_close(4001)
    await eve.emit("echo")
    with pytest.raises(AssertionError, match="a close was expected, and another frame came"):
        await eve.expect_close()


# Nothing


async def test_nothing_is_certain_at_once(ann: GatewayCommunicator) -> None:
    started = time.perf_counter()
    for _ in range(100):
        await ann.expect_nothing()
    assert time.perf_counter() - started < 5  # Channels would take ten seconds.


async def test_nothing_waits_for_what_is_under_way(ann: GatewayCommunicator) -> None:
    await ann.emit("sleep", 0.2)
    with pytest.raises(AssertionError, match=r'nothing was expected, .*"slept"'):
        await ann.expect_nothing()


async def test_nothing_waits_for_the_messages_of_others(
    ann: GatewayCommunicator, gateway_layer: LocalChannelLayer
) -> None:
    (row,) = gateway_layer.registry
    await gateway_layer.send(row.channel, {"type": "gateway.event", "event": "news"})
    with pytest.raises(AssertionError, match="nothing was expected"):
        await ann.expect_nothing()


async def test_close_is_not_nothing_and_nothing_comes_after_it(ann: GatewayCommunicator) -> None:
    await ann.emit("close", 4000)
    with pytest.raises(AssertionError, match="this came: close 4000"):
        await ann.expect_nothing()
    await ann.expect_nothing()


async def test_ping_is_nothing_unless_it_is_expected(
    v1: GatewayCommunicator, gateway_clock: Clock
) -> None:
    await gateway_clock.advance(20)
    await v1.expect("gateway:ping")
    await gateway_clock.advance(20)
    await v1.expect_nothing()


async def test_settling_costs_neither_a_rate_nor_an_error(
    gateway_client: Clients, settings: Settings, gateway_layer: LocalChannelLayer
) -> None:
    settings.ARCLY_CHANNELS = {"RATE_LIMIT": {"EVENTS": 1, "BURST": 1, "ERRORS": 1}}
    ann = await gateway_client(Chat.as_asgi()).connect()
    for _ in range(10):
        await ann.settle()
    await ann.emit("echo", 1)
    await ann.expect("echo", 1)
    assert gateway_layer.counts["handler_errors"] == 0


# Requests


async def test_request_returns_what_is_replied(v1: GatewayCommunicator) -> None:
    assert await v1.request("echo", (1, 2)) == [1, 2]
    await v1.expect("echo", [1, 2])  # It came before the reply.


async def test_request_that_is_refused_raises_what_the_handler_did(
    v1: GatewayCommunicator,
) -> None:
    with pytest.raises(EventRefused) as refused:
        await v1.request("refuse")
    assert (refused.value.code, refused.value.retry_after) == ("not_now", 2)
    with pytest.raises(EventRefused) as invalid:
        await v1.request("check")
    assert invalid.value.details == [{"path": "data", "message": "is wrong"}]


async def test_request_has_the_failure_of_its_handler_as_its_cause(
    v1: GatewayCommunicator,
) -> None:
    with pytest.raises(EventRefused) as refused:
        await v1.request("fail")
    assert refused.value.code == "internal"
    assert isinstance(refused.value.__cause__, LookupError)
    with pytest.raises(LookupError):  # A test that expects any refusal does not hide it.
        await v1.disconnect()


async def test_rooms_are_joined_as_a_client_does(v1: GatewayCommunicator) -> None:
    assert await v1.join("tea") == {"room": "tea"}
    with pytest.raises(EventRefused, match="the cellar is closed"):
        await v1.join("cellar")


async def test_bare_clients_have_no_replies(ann: GatewayCommunicator) -> None:
    with pytest.raises(RuntimeError, match="only arcly"):
        await ann.request("echo")


async def test_close_is_no_answer(v1: GatewayCommunicator) -> None:
    with pytest.raises(AssertionError, match="an answer to close was expected, and this came"):
        await v1.request("close", 4000)


# What fails in the gateway


async def fail(then: BaseException | None = None) -> None:
    async with GatewayCommunicator(Chat.as_asgi()) as ann:
        await ann.connect()
        await ann.emit("fail")
        await ann.settle()
        if then is not None:
            raise then


async def test_failure_of_a_handler_is_raised_at_the_end() -> None:
    with pytest.raises(LookupError, match="no such shelf"):
        await fail()


async def test_failure_of_a_handler_is_why_something_else_came(gateway_client: Clients) -> None:
    ann = await gateway_client(Chat.as_asgi()).connect()
    await ann.emit("fail")
    with pytest.raises(AssertionError) as failure:
        await ann.expect("echo")
    assert isinstance(failure.value.__cause__, LookupError)
    with pytest.raises(LookupError):
        await ann.disconnect()


async def test_failure_that_was_expected_is_none(ann: GatewayCommunicator) -> None:
    await ann.emit("fail")
    await ann.expect_error("internal")


async def test_failure_of_a_consumer_is_raised_in_the_next_call(
    ann: GatewayCommunicator, gateway_layer: LocalChannelLayer
) -> None:
    (row,) = gateway_layer.registry
    await gateway_layer.send(row.channel, {"type": "test.fail"})
    with pytest.raises(LookupError, match="no such message"):
        await ann.expect_close()


async def test_client_may_see_what_any_client_would(gateway_layer: LocalChannelLayer) -> None:
    async with GatewayCommunicator(Chat.as_asgi(), raise_errors=False) as ann:
        await ann.connect()
        await ann.emit("fail")
        await ann.settle()
        (row,) = gateway_layer.registry
        await gateway_layer.send(row.channel, {"type": "test.fail"})
        await ann.expect_error("internal")
        await ann.expect_close(1011)


async def test_own_failure_of_a_test_comes_first() -> None:
    with pytest.raises(ZeroDivisionError):
        await fail(ZeroDivisionError())


# The end


class TestInAClass:
    """Methods have their clients disconnected as well."""

    clients: ClassVar[list[GatewayCommunicator]] = []

    async def test_client_is_left_to_the_fixture(self, ann: GatewayCommunicator) -> None:
        self.clients.append(ann)

    def test_client_was_disconnected(self) -> None:
        (ann,) = self.clients
        assert ann.future.result() is None  # And was not cancelled.


async def test_gateway_that_has_ended_sends_nothing_more(ann: GatewayCommunicator) -> None:
    await ann.emit("stop")
    await ann.expect_close(1000)
    with pytest.raises(AssertionError, match="echo was expected, and the gateway has ended"):
        await ann.expect("echo")
    await ann.expect_nothing()


async def test_disconnecting_twice_is_once(ann: GatewayCommunicator) -> None:
    await ann.disconnect()
    await ann.disconnect()
    await GatewayCommunicator(Chat.as_asgi()).disconnect()  # It was never connected.


async def test_gateway_that_does_not_end_is_a_failure(gateway_client: Clients) -> None:
    ann = await gateway_client(Chat.as_asgi()).connect()
    await ann.emit("sleep", 60)
    with pytest.raises(AssertionError, match="expected to end, and goes on"):
        await ann.disconnect(timeout=0.05)


def test_code_that_is_not_async_runs_a_whole_test(gateway_layer: LocalChannelLayer) -> None:
    async def talk() -> Any:
        async with GatewayCommunicator(Chat.as_asgi()) as ann:
            await ann.connect()
            await ann.emit("echo", 1)
            return await ann.expect("echo")

    assert async_to_sync(talk)() == 1


# Channels' own methods


async def test_channels_own_methods_see_the_same_frames(v1: GatewayCommunicator) -> None:
    await v1.send_json_to({"event": "echo", "data": 1, "ref": 1})
    await v1.settle()
    assert await v1.receive_nothing() is False
    assert await v1.receive_json_from() == {"event": "echo", "data": 1}
    assert await v1.receive_from() == '{"event":"gateway:reply","data":1,"ref":1}'
    assert await v1.receive_nothing() is True
    await v1.send_to(bytes_data=b"binary")
    assert (await v1.receive_output())["type"] == "websocket.send"
