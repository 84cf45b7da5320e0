"""What one client may cost: large messages, many messages, mistakes, and its handshake."""

from __future__ import annotations

import asyncio
import logging
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest
from channels.generic.websocket import AsyncJsonWebsocketConsumer

from arcly_channels import GatewayConsumer, subscribe
from arcly_channels.layers import LocalChannelLayer
from arcly_channels.session.limits import places
from arcly_channels.testing import Clock, GatewayCommunicator
from arcly_channels.testing.waiting import eventually, soon
from tests.gateways import Recorded, Socket, connected

if TYPE_CHECKING:
    from pytest_django import Settings


class Chat(GatewayConsumer):
    async def may_join(self, room: str) -> None: ...

    @subscribe("echo")
    async def echo(self, data: Any) -> None:
        await self.emit("echo", data)


# Large messages


@pytest.mark.parametrize(
    "message",
    [
        {"text": '{"event":"' + "x" * 89 + '"}'},
        {"text": "é" * 51},
        {"bytes": b"x" * 101},
    ],
)
async def test_message_that_is_too_large_ends_the_connection(
    layer: LocalChannelLayer, settings: Settings, message: dict[str, Any]
) -> None:
    settings.ARCLY_CHANNELS = {"MAX_MESSAGE_BYTES": 100}
    async with connected(Chat.as_asgi()) as socket:
        await socket.send_to(f'{{"event":"echo","data":"{"x" * 74}"}}')  # 100 bytes.
        assert (await socket.receive_json_from())["event"] == "echo"
        socket.input_queue.put_nowait({"type": "websocket.receive", **message})
        await socket.expect_close(1009)
    assert layer.limits == {"message_bytes": 1}
    assert layer.disconnects == {"limit": 1}


async def test_client_of_v1_is_told_why(layer: LocalChannelLayer, settings: Settings) -> None:
    settings.ARCLY_CHANNELS = {"MAX_MESSAGE_BYTES": 100}
    async with connected(Chat.as_asgi(), subprotocols=["arcly.v1"]) as socket:
        assert socket.welcome["limits"]["frame"] == 100
        await socket.send_to("x" * 101)
        await socket.expect_close(1009)
        assert (socket.bye["code"], socket.bye["reconnect"]) == (1009, "no")


@pytest.mark.usefixtures("layer")
async def test_limit_of_zero_bytes_is_none(settings: Settings) -> None:
    settings.ARCLY_CHANNELS = {"MAX_MESSAGE_BYTES": 0}
    async with connected(Chat.as_asgi()) as socket:
        await socket.emit("unknown", "x" * 2**21)
        assert (await socket.receive_json_from())["data"]["code"] == "unknown_event"


# Many messages


async def test_who_sends_too_much_is_asked_to_wait(
    layer: LocalChannelLayer, settings: Settings, gateway_clock: Clock
) -> None:
    settings.ARCLY_CHANNELS = {"RATE_LIMIT": {"EVENTS": 2, "BURST": 1}}
    async with connected(Chat.as_asgi()) as socket:
        for number in range(4):
            await socket.emit("echo", number, ref=number)
        assert [(await socket.receive_json_from())["event"] for _ in range(2)] == ["echo"] * 2
        for ref in (2, 3):
            error = await socket.receive_json_from()
            assert (error["data"]["code"], error["ref"]) == ("rate_limited", ref)
            assert 0 < error["data"]["retry_after"] <= 0.5
        gateway_clock.jump(0.5)
        await socket.emit("echo", "again")
        await socket.expect("echo", "again")
    assert layer.limits == {"rate": 2}


async def test_bytes_are_limited_too(layer: LocalChannelLayer, settings: Settings) -> None:
    settings.ARCLY_CHANNELS = {"RATE_LIMIT": {"BYTES": 1000, "BURST": 1}}
    async with connected(Chat.as_asgi()) as socket:
        await socket.emit("echo", "x" * 10_000)
        await socket.emit("echo")
        assert (await socket.receive_json_from())["event"] == "echo"
        assert (await socket.receive_json_from())["data"]["retry_after"] == pytest.approx(
            9, abs=0.2
        )


async def test_who_goes_on_is_closed(layer: LocalChannelLayer, settings: Settings) -> None:
    settings.ARCLY_CHANNELS = {"RATE_LIMIT": {"EVENTS": 1, "BURST": 1, "ERRORS": 5}}
    async with connected(Chat.as_asgi(), subprotocols=["arcly.v1"]) as socket:
        for _ in range(1000):
            await socket.emit("echo")
        frames = [(await socket.receive_json_from())["event"] for _ in range(7)]
        assert frames == ["echo", *["error"] * 5, "gateway:bye"]
        await socket.expect_close(4429)
    assert layer.limits == {"rate": 6, "errors": 1}
    assert layer.disconnects == {"limit": 1}


@pytest.mark.parametrize("frame", ["{}", "no json", '{"event":"echo","ref":-1}', b"binary"])
async def test_who_goes_on_to_send_malformed_frames_is_closed(
    layer: LocalChannelLayer, settings: Settings, frame: str | bytes
) -> None:
    settings.ARCLY_CHANNELS = {"RATE_LIMIT": {"ERRORS": 5}}
    async with connected(Chat.as_asgi()) as socket:
        for _ in range(100):
            kind = "bytes" if isinstance(frame, bytes) else "text"
            socket.input_queue.put_nowait({"type": "websocket.receive", kind: frame})
        codes = [(await socket.receive_json_from())["data"]["code"] for _ in range(5)]
        assert codes == ["malformed"] * 5
        await socket.expect_close(4429)
    assert layer.limits == {"errors": 1}


@pytest.mark.usefixtures("layer")
async def test_mistake_now_and_then_ends_nothing(settings: Settings, gateway_clock: Clock) -> None:
    settings.ARCLY_CHANNELS = {"RATE_LIMIT": {"ERRORS": 2}}
    async with connected(Chat.as_asgi()) as socket:
        for _ in range(50):
            await socket.send_to("{}")
            assert (await socket.receive_json_from())["event"] == "error"
            gateway_clock.jump(1)


@pytest.mark.usefixtures("layer")
async def test_without_a_rate_limit_there_is_none(settings: Settings) -> None:
    settings.ARCLY_CHANNELS = {"RATE_LIMIT": 0}
    async with connected(Chat.as_asgi()) as socket:
        for frame in ("{}", '{"event":"echo"}'):
            for _ in range(2000):
                await socket.send_to(frame)
                assert (await socket.receive_json_from())["event"] in ("error", "echo")


@pytest.mark.usefixtures("layer")
async def test_who_speaks_no_events_is_closed_without_an_error(settings: Settings) -> None:
    class Echo(AsyncJsonWebsocketConsumer, GatewayConsumer):
        async def receive_json(self, content: Any, **more: Any) -> None:
            await self.send_json(content)

    settings.ARCLY_CHANNELS = {"RATE_LIMIT": {"EVENTS": 2, "BURST": 1}}
    async with connected(Echo.as_asgi()) as socket:
        for _ in range(3):
            await socket.send_to("1")
        assert [await socket.receive_json_from() for _ in range(2)] == [1, 1]
        await socket.expect_close(4429)


async def test_refusals_of_a_kind_are_logged_once_a_second(
    layer: LocalChannelLayer, caplog: pytest.LogCaptureFixture
) -> None:
    class Members(GatewayConsumer):
        require_claims = True

    with caplog.at_level(logging.INFO):
        for _ in range(20):
            await Socket(Members.as_asgi()).expect_refusal(4401)
    assert len([each for each in caplog.messages if "4401" in each]) == 1


# Rooms


async def test_rooms_that_a_client_joins_by_itself_count(
    layer: LocalChannelLayer, settings: Settings
) -> None:
    settings.ARCLY_CHANNELS = {"MAX_ROOMS_PER_CONNECTION": 2}
    async with connected(Chat.as_asgi(), subprotocols=["arcly.v1"]) as socket:
        for room in ("a", "b", "b", "c"):
            await socket.emit("gateway:join", {"room": room}, ref=room)
        answers = [(await socket.receive_json_from()) for _ in range(4)]
        assert [each["event"] for each in answers] == [*["gateway:joined"] * 3, "error"]
        assert answers[-1]["data"]["code"] == "too_many_rooms"
    assert layer.limits == {"rooms": 1}


# The time that a handshake takes


class Hooked(Recorded):
    """A gateway whose hook `slow` takes for ever; `stubborn`, it takes no notice of being told."""

    slow = stubborn = ""
    released: asyncio.Event

    async def wait_for_ever(self) -> None:
        while not self.released.is_set():
            try:
                await self.released.wait()
            except asyncio.CancelledError:
                if not self.stubborn:
                    raise

    async def authorize(self) -> None:
        if self.slow == "authorize":
            await self.wait_for_ever()

    async def on_connect(self) -> None:
        await super().on_connect()
        if self.slow == "on_connect":
            await self.wait_for_ever()


@pytest.fixture
def impatient(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.ARCLY_CHANNELS = {"HANDSHAKE_TIMEOUT": 0.01, "EVICTION_GRACE": 0}
    monkeypatch.setattr("arcly_channels.gateway.hurry.CANCEL_TIMEOUT", 0.01)


def hooked(slow: str, stubborn: str = "") -> Any:
    name = "Stubborn" if stubborn else "Slow"
    more = {"slow": slow, "stubborn": stubborn, "released": asyncio.Event()}
    return type(name, (Hooked,), more)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("stubborn", ["", "stubborn"])
async def test_authorize_that_takes_too_long_refuses(
    layer: LocalChannelLayer, caplog: pytest.LogCaptureFixture, stubborn: str
) -> None:
    before, gateway = places.taken, hooked("authorize", stubborn)
    sockets = [Socket(gateway.as_asgi()) for _ in range(3)]
    with caplog.at_level(logging.ERROR):
        for socket in sockets:
            await socket.expect_refusal(4409)
    await eventually(lambda: places.taken == before)
    assert len(caplog.messages) == 1
    gateway.released.set()
    for socket in sockets:
        await socket.ended()
    assert gateway.connects == gateway.disconnects == []
    assert layer.limits == {"handshake": 3}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("stubborn", ["", "stubborn"])
async def test_on_connect_that_takes_too_long_ends_the_connection(
    layer: LocalChannelLayer, stubborn: str
) -> None:
    before, gateway = places.taken, hooked("on_connect", stubborn)
    socket = Socket(gateway.as_asgi())
    await socket.connect()
    await socket.expect_close(1011)
    if not stubborn:
        await socket.close()
    await eventually(lambda: places.taken == before)
    assert gateway.disconnects == [1011]
    gateway.released.set()
    await socket.ended()
    assert gateway.disconnects == [1011]
    assert layer.disconnects == {"error": 1}


@pytest.mark.usefixtures("layer", "impatient")
async def test_client_of_v1_is_told_that_it_may_come_back() -> None:
    end = GatewayCommunicator(hooked("authorize").as_asgi())
    await end.expect_refusal(4409, subprotocol="arcly.v1")
    assert end.bye["reconnect"] == "yes"


@pytest.mark.usefixtures("layer", "impatient")
@pytest.mark.parametrize("slow", ["authorize", "on_connect"])
async def test_server_that_cancels_a_hook_is_obeyed(settings: Settings, slow: str) -> None:
    settings.ARCLY_CHANNELS = {"HANDSHAKE_TIMEOUT": 60}
    gateway = hooked(slow)
    socket = Socket(gateway.as_asgi())
    connecting = asyncio.ensure_future(socket.connect())
    await eventually(lambda: gateway.instances)
    task = socket.cancel()
    await soon(asyncio.wait([task]))
    assert task.cancelled()
    await asyncio.gather(connecting, return_exceptions=True)


@pytest.mark.usefixtures("layer")
@pytest.mark.parametrize("seconds", [0, 60])
async def test_context_of_a_hook_is_that_of_the_handlers(settings: Settings, seconds: int) -> None:
    language = ContextVar("language", default="en")

    class Polite(Chat):
        async def on_connect(self) -> None:
            language.set("fr")

        @subscribe("which")
        async def which(self, data: Any) -> None:
            await self.emit("language", language.get())

    settings.ARCLY_CHANNELS = {"HANDSHAKE_TIMEOUT": seconds}
    async with connected(Polite.as_asgi()) as socket:
        await socket.emit("which")
        await socket.expect("language", "fr")
