"""`GatewayConsumer`: what its clients get for what they send, and how their sockets end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
from channels.auth import AuthMiddlewareStack
from channels.exceptions import DenyConnection, StopConsumer
from channels.generic.websocket import (
    AsyncJsonWebsocketConsumer,
    AsyncWebsocketConsumer,
    WebsocketConsumer,
)
from channels.layers import InMemoryChannelLayer, channel_layers
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator, OriginValidator
from django.core.exceptions import ImproperlyConfigured
from django.urls import path

from arcly_channels import CloseCode, EnvelopeError, GatewayConsumer, Refused, subscribe
from arcly_channels.exceptions import SlowConsumer
from arcly_channels.layers import LocalChannelLayer
from arcly_channels.layers.stall import LOOK
from arcly_channels.testing import Clock, GatewayCommunicator
from arcly_channels.testing.waiting import eventually, soon, turns
from arcly_channels.transports import asgi
from tests.gateways import Recorded, Socket, StuckServer, connected

if TYPE_CHECKING:
    from pytest_django import Settings

pytestmark = pytest.mark.usefixtures("layer")


class Chat(Recorded):
    """A gateway with a handler for everything that is tested here."""

    @subscribe("echo")
    async def echo(self, data: Any) -> None:
        await self.emit("echo", data)

    @subscribe("fail")
    async def fail(self, data: Any) -> None:
        raise RuntimeError("the secret")

    @subscribe("emit.object")
    async def emit_object(self, data: Any) -> None:
        await self.emit("object", {"a": object()})

    @subscribe("join")
    async def join(self, data: Any) -> None:
        await self.join_room(data)
        await self.emit("joined")

    @subscribe("leave")
    async def leave(self, data: Any) -> None:
        await self.leave_room(data)
        await self.emit("left")

    @subscribe("say")
    async def say(self, data: Any) -> None:
        await self.broadcast_to_room(data.pop("room"), "said", data.pop("text"), **data)

    @subscribe("shout")
    async def shout(self, data: Any) -> None:
        await self.broadcast("shouted", data.pop("text"), **data)

    @subscribe("close")
    async def close_with(self, code: Any) -> None:
        await self.emit("bye")
        await self.close(code)

    async def custom_message(self, message: dict[str, Any]) -> None:
        await self.emit("custom", message["value"])

    async def crash_message(self, message: dict[str, Any]) -> None:
        raise RuntimeError("crash")


@pytest.fixture
def chat() -> type[Chat]:
    """A gateway with notes of its own."""

    class ThisChat(Chat):
        pass

    return ThisChat


@pytest.fixture
async def socket(chat: type[Chat]) -> AsyncIterator[Socket]:
    """A client that is connected to `chat`."""
    async with connected(chat.as_asgi()) as socket:
        yield socket


# Events


async def test_scope_that_is_no_websocket_is_refused() -> None:
    async def never(*_: Any) -> Any:
        raise AssertionError("it reads and sends nothing")

    with pytest.raises(ValueError, match="lifespan"):
        await GatewayConsumer.as_asgi()({"type": "lifespan"}, never, never)


async def test_event_goes_to_its_handler_with_its_data(socket: Socket) -> None:
    await socket.emit("echo", {"a": [1]})
    await socket.expect("echo", {"a": [1]})


async def test_event_without_data_has_none(socket: Socket) -> None:
    await socket.send_to('{"event":"echo"}')
    await socket.expect("echo", None)


async def test_events_are_handled_in_order(socket: Socket) -> None:
    for number in range(20):
        await socket.emit("echo", number)
    assert [(await socket.receive_event())[1] for _ in range(20)] == list(range(20))


async def test_events_and_channel_messages_are_handled_one_at_a_time(
    layer: LocalChannelLayer,
) -> None:
    steps: list[str] = []
    go_on = asyncio.Event()

    class Slow(Chat):
        @subscribe("slow")
        async def slow(self, data: Any) -> None:
            steps.append("begin")
            await go_on.wait()
            steps.append("end")

        async def note_message(self, message: dict[str, Any]) -> None:
            steps.append("message")

    async with connected(Slow.as_asgi()) as socket:
        await socket.emit("slow")
        await eventually(lambda: steps == ["begin"])
        await layer.send(Slow.instances[0].channel_name, {"type": "note.message"})
        await turns()
        go_on.set()
        await eventually(lambda: len(steps) == 3)
    assert steps == ["begin", "end", "message"]


# Bad input


@pytest.mark.parametrize("text", ["", "nope", "{", "NaN", '{"event":"echo"', "[" * 5000])
async def test_text_that_is_no_json_is_malformed(socket: Socket, text: str) -> None:
    await socket.send_to(text)
    await socket.expect_error("malformed")


@pytest.mark.parametrize("text", ["[]", "null", "1", '"echo"', '["echo"]'])
async def test_json_that_is_no_object_is_malformed(socket: Socket, text: str) -> None:
    await socket.send_to(text)
    await socket.expect_error("malformed")


@pytest.mark.parametrize("text", ["{}", '{"data":1}', '{"event":1}', '{"event":null}'])
async def test_object_without_a_string_for_an_event_is_malformed(socket: Socket, text: str) -> None:
    await socket.send_to(text)
    await socket.expect_error("malformed")


@pytest.mark.parametrize("payload", [b"", b'{"event":"echo"}', b"\xff\x00"])
async def test_binary_frame_is_malformed(socket: Socket, payload: bytes) -> None:
    await socket.send_to(bytes_data=payload)
    await socket.expect_error("malformed")


@pytest.mark.parametrize("event", ["", "unknown", "on_connect", "close_with", "x" * 1000])
async def test_event_without_a_handler_is_unknown(socket: Socket, event: str) -> None:
    await socket.send_json_to({"event": event})
    await socket.expect_error("unknown_event")


async def test_bad_input_leaves_the_socket_open(socket: Socket) -> None:
    for text in ("nope", "[]", '{"event":"unknown"}', '{"event":"fail"}'):
        await socket.send_to(text)
        await socket.expect("error")
    await socket.emit("echo", "still there")
    await socket.expect("echo", "still there")


async def test_error_says_what_was_wrong(socket: Socket) -> None:
    await socket.emit("unknown")
    await socket.expect("error", {"code": "unknown_event", "message": "no event unknown"})


REFS = [0, "", "r1", 2**53 - 1]


@pytest.mark.parametrize("ref", REFS, ids=repr)
@pytest.mark.parametrize("event", ["unknown", "fail", "emit.object", "join", 7])
async def test_error_repeats_the_ref(socket: Socket, event: Any, ref: Any) -> None:
    await socket.send_json_to({"event": event, "ref": ref})
    assert (await socket.receive_json_from())["ref"] == ref


async def test_error_without_a_ref_has_none(socket: Socket) -> None:
    await socket.emit("unknown")
    assert "ref" not in await socket.receive_json_from()


@pytest.mark.parametrize("ref", [False, [1], {"a": 1}, -1, "x" * 65])
async def test_bad_ref_is_malformed_and_not_repeated(socket: Socket, ref: Any) -> None:
    await socket.emit("unknown", ref=ref)
    answer = await socket.receive_json_from()
    assert answer["data"]["code"] == "malformed"
    assert "ref" not in answer


async def test_ref_that_is_too_deep_is_malformed_and_leaves_the_socket_open(socket: Socket) -> None:
    await socket.send_to('{"event":"unknown","ref":' + "[" * 500 + "]" * 500 + "}")
    await socket.expect_error("malformed")
    await socket.emit("unknown")
    await socket.expect_error("unknown_event")


async def test_unknown_event_is_shown_short_and_in_one_line(socket: Socket) -> None:
    await socket.emit("\n" * 100_000)
    await socket.expect("error", {"code": "unknown_event", "message": "no event " + r"\n" * 50})


async def test_send_of_a_frame_over_the_limit_raises_and_sends_nothing(
    chat: type[Chat], socket: Socket, settings: Any
) -> None:
    settings.ARCLY_CHANNELS = {"MAX_FRAME_BYTES": 100}
    consumer = chat.instances[-1]
    for arguments in ({"text_data": "x" * 101}, {"bytes_data": b"x" * 101}):
        with pytest.raises(EnvelopeError, match="101 bytes"):
            await consumer.send(**arguments)
    await consumer.send(bytes_data=b"x" * 100)
    assert await socket.receive_from() == b"x" * 100


async def test_event_over_the_limit_raises_and_sends_nothing(
    chat: type[Chat], socket: Socket, settings: Any
) -> None:
    settings.ARCLY_CHANNELS = {"MAX_FRAME_BYTES": 100}
    with pytest.raises(EnvelopeError, match="100 are allowed"):
        await chat.instances[-1].emit("e", "x" * 100)
    await socket.expect_nothing()


async def test_failing_handler_is_an_internal_error_without_details(socket: Socket) -> None:
    await socket.emit("fail")
    answer = await socket.expect("error")
    assert answer["code"] == "internal"
    assert "secret" not in str(answer)


async def test_failing_handler_is_logged_with_its_traceback(
    socket: Socket, caplog: pytest.LogCaptureFixture
) -> None:
    await socket.emit("fail", {"password": "hunter2"})
    await socket.expect("error")
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert "ThisChat.fail failed" in record.getMessage()
    assert "hunter2" not in record.getMessage()


async def test_handler_that_fails_again_and_again_is_logged_once_a_second(
    socket: Socket, caplog: pytest.LogCaptureFixture, gateway_clock: Clock
) -> None:
    for seconds in (0, 0, 0, 1):
        gateway_clock.jump(seconds)
        await socket.emit("fail")
        await socket.expect("error")
    first, second = (record.getMessage() for record in caplog.records)
    assert first.endswith("ThisChat.fail failed")
    assert second.endswith("ThisChat.fail failed (2 more like it were not logged)")


async def test_failing_handler_is_counted(socket: Socket, layer: LocalChannelLayer) -> None:
    for _ in range(2):
        await socket.emit("fail")
        await socket.expect("error")
    assert layer.counts["handler_errors"] == 2


async def test_data_that_cannot_be_written_is_an_internal_error(
    socket: Socket, caplog: pytest.LogCaptureFixture
) -> None:
    await socket.emit("emit.object")
    await socket.expect_error("internal")
    assert "data.a cannot be sent" in caplog.text


@pytest.mark.parametrize("room", [None, 1, [], {}, True, "", "x" * 201], ids=repr)
@pytest.mark.parametrize("event", ["join", "leave"])
async def test_bad_room_is_invalid(socket: Socket, event: str, room: Any) -> None:
    await socket.emit(event, room)
    await socket.expect_error("invalid_room")


async def test_bad_room_to_broadcast_to_is_invalid(socket: Socket) -> None:
    await socket.emit("say", {"room": "", "text": "hello"})
    answer = await socket.expect("error")
    assert answer["code"] == "invalid_room"
    assert "1 to 200 characters" in answer["message"]


async def test_bad_room_is_no_handler_error(socket: Socket, layer: LocalChannelLayer) -> None:
    await socket.emit("join", "")
    await socket.expect("error")
    assert layer.counts["handler_errors"] == 0


async def test_bad_room_from_python_is_a_value_error(chat: type[Chat], socket: Socket) -> None:
    with pytest.raises(ValueError, match="a room is a string"):
        await chat.instances[0].join_room(None)


# The connection


async def test_client_is_registered_when_it_is_greeted(layer: LocalChannelLayer) -> None:
    counts: list[int] = []

    class Counting(GatewayConsumer):
        async def on_connect(self) -> None:
            counts.append(layer.registry.connection_count())

    async with connected(Counting.as_asgi()):
        assert counts == [1]


async def test_client_may_be_sent_events_when_it_is_greeted() -> None:
    class Greeting(GatewayConsumer):
        async def on_connect(self) -> None:
            await self.emit("welcome", self.id)
            await self.join_room("lobby")

    async with connected(Greeting.as_asgi()) as socket:
        assert (await socket.receive_event())[0] == "welcome"


async def test_clients_have_rising_ids(chat: type[Chat]) -> None:
    async with connected(chat.as_asgi()), connected(chat.as_asgi()):
        assert chat.connects == sorted(set(chat.connects))
        assert len(chat.connects) == 2


async def test_claims_and_tenant_are_none_where_nobody_set_them(
    chat: type[Chat], socket: Socket
) -> None:
    assert (chat.instances[0].claims, chat.instances[0].tenant) == (None, None)


async def test_claims_and_tenant_come_from_the_scope(chat: type[Chat]) -> None:
    async with connected(chat.as_asgi(), claims={"sub": "ann"}, tenant="acme"):
        assert chat.instances[0].claims == {"sub": "ann"}
        assert chat.instances[0].tenant == "acme"


async def test_there_is_no_client_before_the_socket_is_accepted() -> None:
    class Early(GatewayConsumer):
        async def authorize(self) -> None:
            await self.emit("too early")

    with pytest.raises(RuntimeError, match="before its socket is accepted"):
        await GatewayCommunicator(Early.as_asgi()).connect()


async def test_inbound_frame_is_a_sign_of_life(
    chat: type[Chat], layer: LocalChannelLayer, socket: Socket
) -> None:
    connection = layer.registry.get(chat.connects[0])
    assert connection is not None
    before = connection.last_seen
    await socket.emit("echo")
    await socket.receive_event()
    assert connection.last_seen > before


async def test_nothing_is_left_of_a_client_that_is_gone(
    layer: LocalChannelLayer, chat: type[Chat]
) -> None:
    async with connected(chat.as_asgi()) as socket:
        await socket.emit("join", "room")
        await socket.receive_event()
    assert (layer.registry.connection_count(), layer.registry.rooms()) == (0, [])
    assert (dict(layer.channels), dict(layer.groups)) == ({}, {})


# Letting in


async def test_client_that_is_not_authorized_is_refused(layer: LocalChannelLayer) -> None:
    class Closed(Recorded):
        async def authorize(self) -> None:
            raise Refused(CloseCode.FORBIDDEN, "not you")

    await Socket(Closed.as_asgi()).expect_refusal(4403)
    assert (Closed.connects, Closed.disconnects) == ([], [])
    assert layer.registry.connection_count() == 0


async def test_authorize_knows_who_asks() -> None:
    class Members(Recorded):
        async def authorize(self) -> None:
            if self.claims is None:
                raise Refused(CloseCode.UNAUTHENTICATED)

    await Socket(Members.as_asgi()).expect_refusal(4401)
    async with connected(Members.as_asgi(), claims={"sub": "ann"}):
        assert len(Members.connects) == 1


async def test_refusal_is_logged_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    class Closed(GatewayConsumer):
        async def authorize(self) -> None:
            raise Refused(4403, "not you")

    caplog.set_level(logging.INFO, "arcly_channels")
    await Socket(Closed.as_asgi()).expect_refusal()
    assert "refused with 4403: not you" in caplog.text
    assert not any(record.exc_info for record in caplog.records)


async def test_failing_authorize_lets_nobody_in(layer: LocalChannelLayer) -> None:
    class Broken(Recorded):
        async def authorize(self) -> None:
            raise LookupError("broken")

    with pytest.raises(LookupError, match="broken"):
        await GatewayCommunicator(Broken.as_asgi()).connect()
    assert (Broken.connects, Broken.disconnects) == ([], [])


async def test_authorize_may_close_as_in_channels() -> None:
    class Closing(Recorded):
        async def authorize(self) -> None:
            await self.close()

    socket = Socket(Closing.as_asgi())
    await socket.expect_refusal(1000)
    await socket.ended()
    assert (Closing.connects, Closing.disconnects) == ([], [])


async def test_authorize_may_deny_as_in_channels() -> None:
    class Denying(Recorded):
        async def authorize(self) -> None:
            raise DenyConnection

    socket = Socket(Denying.as_asgi())
    await socket.expect_refusal(4403)
    await socket.ended()
    assert (Denying.connects, Denying.disconnects) == ([], [])


async def test_connect_may_deny_as_in_channels() -> None:
    class Denying(Recorded):
        async def connect(self) -> None:
            raise DenyConnection

    socket = Socket(Denying.as_asgi())
    await socket.expect_refusal(1000)
    await socket.close(1006)
    assert (Denying.connects, Denying.disconnects) == ([], [])


async def test_connect_may_choose_a_subprotocol() -> None:
    class Choosing(Recorded):
        async def connect(self) -> None:
            await self.accept(subprotocol="json")

    async with connected(Choosing.as_asgi()):
        assert len(Choosing.connects) == 1


async def test_client_over_the_cap_is_refused(chat: type[Chat], settings: Settings) -> None:
    settings.ARCLY_CHANNELS = {"MAX_CONNECTIONS": 1}
    async with connected(chat.as_asgi()):
        await Socket(chat.as_asgi()).expect_refusal(4409)


async def test_cap_counts_all_gateways(chat: type[Chat], settings: Settings) -> None:
    class Other(GatewayConsumer):
        pass

    settings.ARCLY_CHANNELS = {"MAX_CONNECTIONS": 1}
    async with connected(Other.as_asgi()):
        await Socket(chat.as_asgi()).expect_refusal(4409)


async def test_place_of_a_client_that_is_gone_is_free(chat: type[Chat], settings: Settings) -> None:
    settings.ARCLY_CHANNELS = {"MAX_CONNECTIONS": 1}
    for _ in range(3):
        async with connected(chat.as_asgi()):
            pass
    assert len(chat.connects) == 3


async def test_cap_holds_for_clients_that_come_at_once(settings: Settings) -> None:
    asked = asyncio.Event()

    class Slow(Recorded):
        async def authorize(self) -> None:
            await asked.wait()

    settings.ARCLY_CHANNELS = {"MAX_CONNECTIONS": 1}
    sockets = [Socket(Slow.as_asgi()) for _ in range(3)]
    connecting = [asyncio.create_task(socket.knock()) for socket in sockets]
    await turns()
    asked.set()
    codes = await soon(asyncio.gather(*connecting))
    for socket in sockets:
        await socket.disconnect()
    assert codes.count(None) == 1
    assert codes.count(4409) == 2


# Endings: the hooks run once each, whatever happens


async def test_hooks_run_once_when_the_peer_closes(chat: type[Chat]) -> None:
    async with connected(chat.as_asgi()) as socket:
        await socket.close(1001)
    assert (len(chat.connects), chat.disconnects) == (1, [1001])


async def test_close_without_a_code_is_1005(chat: type[Chat]) -> None:
    async with connected(chat.as_asgi()) as socket:
        await socket.close(None)
    assert chat.disconnects == [1005]


async def test_hooks_run_once_when_the_gateway_closes(chat: type[Chat]) -> None:
    async with connected(chat.as_asgi()) as socket:
        await socket.emit("close", 4000)
        await socket.expect("bye", None)
        await socket.expect_close(4000)
        await socket.close(4000)
    assert (len(chat.connects), chat.disconnects) == (1, [4000])


async def test_code_of_the_gateway_counts_whatever_the_peer_answers(chat: type[Chat]) -> None:
    async with connected(chat.as_asgi()) as socket:
        await socket.emit("close", 4000)
        await socket.close(1006)
    assert chat.disconnects == [4000]


async def test_gateway_may_close_without_a_code(chat: type[Chat]) -> None:
    async with connected(chat.as_asgi()) as socket:
        await socket.emit("close", None)
        await socket.receive_event()
        await socket.expect_close(1000)
        await socket.close(1000)
    assert chat.disconnects == [1000]


async def test_peer_that_does_not_answer_a_close_is_given_up(
    chat: type[Chat], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asgi, "CLOSE_TIMEOUT", 0.01)
    async with connected(chat.as_asgi()) as socket:
        await socket.emit("close", 4000)
        await socket.ended()
    assert chat.disconnects == [4000]


async def test_hooks_run_once_when_a_channel_handler_crashes(
    chat: type[Chat], layer: LocalChannelLayer
) -> None:
    async with connected(chat.as_asgi()) as socket:
        await layer.send(chat.instances[0].channel_name, {"type": "crash.message"})
        with pytest.raises(RuntimeError, match="crash"):
            await socket.ended()
    assert (len(chat.connects), chat.disconnects) == (1, [1011])


async def test_crash_of_a_channel_handler_ends_a_consumer_that_has_more_to_do(
    layer: LocalChannelLayer,
) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    class Crashing(Chat):
        async def crash_message(self, message: dict[str, Any]) -> None:
            begun.set()
            await go_on.wait()
            raise RuntimeError("crash")

    async with connected(Crashing.as_asgi()) as socket:
        await layer.send(Crashing.instances[0].channel_name, {"type": "crash.message"})
        await soon(begun.wait())
        await socket.emit("echo")
        await turns()
        go_on.set()
        with pytest.raises(RuntimeError, match="crash"):
            await socket.ended()
    assert Crashing.disconnects == [1011]


async def test_channel_message_without_a_handler_is_logged_and_counted(
    chat: type[Chat], layer: LocalChannelLayer, socket: Socket, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        await layer.send(chat.instances[0].channel_name, {"type": "no.such.handler"})
    await socket.expect_nothing()
    assert layer.counts["handler_errors"] == 3
    assert caplog.text.count("no handler for messages of the type 'no.such.handler'") == 1
    assert not chat.disconnects


async def test_failing_on_connect_ends_the_consumer(layer: LocalChannelLayer) -> None:
    class Broken(Recorded):
        async def on_connect(self) -> None:
            await super().on_connect()
            raise LookupError("broken")

    async with connected(Broken.as_asgi()) as socket:
        with pytest.raises(LookupError, match="broken"):
            await socket.ended()
    assert (len(Broken.connects), Broken.disconnects) == (1, [1011])
    assert layer.registry.connection_count() == 0


async def test_failing_on_disconnect_leaves_nothing_registered(layer: LocalChannelLayer) -> None:
    class Broken(GatewayConsumer):
        async def on_disconnect(self, code: int) -> None:
            raise LookupError("broken")

    async with connected(Broken.as_asgi()) as socket:
        with pytest.raises(LookupError, match="broken"):
            await socket.close()
    assert layer.registry.connection_count() == 0
    assert not layer.channels


async def test_handler_may_stop_the_consumer(chat: type[Chat]) -> None:
    class Stopping(Recorded):
        @subscribe("stop")
        async def stop(self, data: Any) -> None:
            raise StopConsumer

    async with connected(Stopping.as_asgi()) as socket:
        await socket.emit("stop")
        await socket.ended()
    assert Stopping.disconnects == [1000]


async def test_client_is_registered_when_it_is_said_goodbye(layer: LocalChannelLayer) -> None:
    seen: list[tuple[int, list[str]]] = []

    class Leaving(GatewayConsumer):
        async def on_connect(self) -> None:
            await self.join_room("room")

        async def on_disconnect(self, code: int) -> None:
            rooms = [room for room in layer.registry.rooms() if room == "room"]
            seen.append((layer.registry.connection_count(), rooms))

    async with connected(Leaving.as_asgi()):
        pass
    assert seen == [(1, ["room"])]


async def test_goodbye_may_be_told_to_the_others(chat: type[Chat]) -> None:
    class Leaving(GatewayConsumer):
        async def on_disconnect(self, code: int) -> None:
            await self.broadcast("left", exclude_self=True)

    async with connected(chat.as_asgi()) as staying:
        async with connected(Leaving.as_asgi()):
            pass
        await staying.expect("left", None)


async def test_hooks_run_once_when_the_server_cancels(
    chat: type[Chat], layer: LocalChannelLayer
) -> None:
    async with connected(chat.as_asgi()) as socket:
        with pytest.raises(asyncio.CancelledError):
            await socket.cancel()
    assert (len(chat.connects), chat.disconnects) == (1, [1012])
    assert layer.registry.connection_count() == 0


async def test_hooks_run_once_when_the_server_cancels_a_handler() -> None:
    begun = asyncio.Event()

    class Slow(Recorded):
        @subscribe("slow")
        async def slow(self, data: Any) -> None:
            begun.set()
            await asyncio.Event().wait()

    async with connected(Slow.as_asgi()) as socket:
        await socket.emit("slow")
        await soon(begun.wait())
        with pytest.raises(asyncio.CancelledError):
            await socket.cancel()
    assert Slow.disconnects == [1012]


async def test_hooks_run_once_when_the_server_cancels_an_ending(layer: LocalChannelLayer) -> None:
    begun, cleaning_up = asyncio.Event(), asyncio.Event()

    class Slow(Recorded):
        async def slow_message(self, message: dict[str, Any]) -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                cleaning_up.set()
                await turns()

    async with connected(Slow.as_asgi()) as socket:
        await layer.send(Slow.instances[0].channel_name, {"type": "slow.message"})
        await soon(begun.wait())
        socket.cancel()
        await soon(cleaning_up.wait())
        with pytest.raises(asyncio.CancelledError):
            await socket.cancel()
    assert len(Slow.disconnects) == 1
    assert layer.registry.connection_count() == 0


async def test_hooks_run_once_when_the_outbox_is_full(
    chat: type[Chat], layer: LocalChannelLayer, settings: Settings
) -> None:
    settings.ARCLY_CHANNELS = {"OUTBOUND_BUFFER": 2, "EVICTION_GRACE": 0.01}
    server = StuckServer(chat.as_asgi())
    await eventually(lambda: chat.connects)
    while layer.registry.connection_count():
        await chat.instances[0].broadcast("news")
    await soon(server.task)
    assert (len(chat.connects), chat.disconnects) == (1, [4008])
    assert layer.registry.evictions == 1


async def test_evicted_client_that_reads_again_gets_its_backlog_and_4008(
    chat: type[Chat], layer: LocalChannelLayer, socket: Socket
) -> None:
    layer.registry.send_text(chat.connects[0], '"backlog"')
    layer.registry.evict(chat.connects[0])
    assert await socket.receive_json_from() == "backlog"
    await socket.expect_close(4008)


async def test_hooks_run_once_when_the_channel_is_full(gateway_clock: Clock) -> None:
    layer = LocalChannelLayer(capacity=1)
    channel_layers.set("default", layer)
    begun, go_on = asyncio.Event(), asyncio.Event()

    class Slow(Recorded):
        groups = ("group",)

        async def slow_message(self, message: dict[str, Any]) -> None:
            begun.set()
            await go_on.wait()

    async with connected(Slow.as_asgi()) as socket:
        for _ in range(3):
            await layer.group_send("group", {"type": "slow.message"})
            await soon(begun.wait())
        while not layer.registry.evictions:
            gateway_clock.jump(LOOK)
            await turns()
        go_on.set()
        await socket.expect_close(4008)
        await socket.close(4008)
    assert (len(Slow.connects), Slow.disconnects) == (1, [4008])


async def test_hooks_run_once_when_an_idle_client_is_reaped(
    chat: type[Chat], layer: LocalChannelLayer
) -> None:
    async with connected(chat.as_asgi()) as socket:
        layer.registry.sweep_idle(-1)
        await socket.expect_close(4012)
        await socket.close(4012)
    assert (len(chat.connects), chat.disconnects) == (1, [4012])


async def test_hooks_run_once_when_all_are_closed(
    chat: type[Chat], layer: LocalChannelLayer
) -> None:
    async with connected(chat.as_asgi()) as socket:
        assert layer.registry.close_all() == 1
        await socket.expect_close(1012)
        await socket.close(1012)
    assert (len(chat.connects), chat.disconnects) == (1, [1012])


# Rooms


@pytest.fixture
async def pair(chat: type[Chat]) -> AsyncIterator[tuple[Socket, Socket]]:
    """Two clients in the room "room"."""
    async with connected(chat.as_asgi()) as one, connected(chat.as_asgi()) as other:
        for socket in (one, other):
            await socket.emit("join", "room")
            await socket.expect("joined", None)
        yield one, other


async def test_room_broadcast_reaches_its_members_and_the_sender(
    pair: tuple[Socket, Socket],
) -> None:
    await pair[0].emit("say", {"room": "room", "text": "hello"})
    assert [await socket.receive_event() for socket in pair] == [("said", "hello")] * 2


async def test_room_broadcast_can_leave_out_the_sender(pair: tuple[Socket, Socket]) -> None:
    await pair[0].emit("say", {"room": "room", "text": "hello", "exclude_self": True})
    await pair[1].expect("said", "hello")
    await pair[0].expect_nothing()


async def test_room_broadcast_reaches_nobody_outside(
    pair: tuple[Socket, Socket], socket: Socket
) -> None:
    await pair[0].emit("say", {"room": "room", "text": "hello"})
    await pair[0].receive_event()
    await socket.expect_nothing()


async def test_sender_need_not_be_in_the_room(pair: tuple[Socket, Socket], socket: Socket) -> None:
    await socket.emit("say", {"room": "room", "text": "hello"})
    await pair[0].expect("said", "hello")


async def test_client_that_left_gets_nothing_more(pair: tuple[Socket, Socket]) -> None:
    await pair[1].emit("leave", "room")
    await pair[1].expect("left", None)
    await pair[0].emit("say", {"room": "room", "text": "hello"})
    await pair[0].receive_event()
    await pair[1].expect_nothing()


@pytest.mark.parametrize("room", ["été", "a b", "arcly.lobby", "x" * 200, "房间"])
async def test_room_may_have_any_name(socket: Socket, room: str) -> None:
    await socket.emit("join", room)
    await socket.receive_event()
    await socket.emit("say", {"room": room, "text": "hello"})
    await socket.expect("said", "hello")


async def test_broadcast_reaches_everybody_and_the_sender(pair: tuple[Socket, Socket]) -> None:
    await pair[0].emit("shout", {"text": "hello"})
    assert [await socket.receive_event() for socket in pair] == [("shouted", "hello")] * 2


async def test_broadcast_can_leave_out_the_sender(pair: tuple[Socket, Socket]) -> None:
    await pair[0].emit("shout", {"text": "hello", "exclude_self": True})
    await pair[1].expect("shouted", "hello")
    await pair[0].expect_nothing()


async def test_broadcast_reaches_the_clients_of_other_gateways(socket: Socket) -> None:
    class Other(GatewayConsumer):
        pass

    async with connected(Other.as_asgi()) as other:
        await socket.emit("shout", {"text": "hello"})
        await other.expect("shouted", "hello")


# Tenants


@pytest.fixture
async def tenants(chat: type[Chat]) -> AsyncIterator[tuple[Socket, Socket]]:
    """A client of tenant a and one of tenant b, both in the room "room"."""
    app = chat.as_asgi()
    async with connected(app, tenant="a") as one, connected(app, tenant="b") as other:
        for socket in (one, other):
            await socket.emit("join", "room")
            await socket.receive_event()
        yield one, other


async def test_room_broadcast_stays_within_the_tenant(tenants: tuple[Socket, Socket]) -> None:
    await tenants[0].emit("say", {"room": "room", "text": "hello"})
    await tenants[0].expect("said", "hello")
    await tenants[1].expect_nothing()


@pytest.mark.parametrize("name", ["arcly.t.b.room", "arcly.lobby.b", "arcly.lobby", "b.room"])
async def test_no_name_of_a_room_reaches_another_tenant(
    tenants: tuple[Socket, Socket], name: str
) -> None:
    await tenants[0].emit("say", {"room": name, "text": "hello"})
    await tenants[0].expect_nothing()
    await tenants[1].expect_nothing()


@pytest.mark.parametrize("name", ["room", "arcly.t.b.room", "arcly.lobby.b"])
async def test_no_name_of_a_room_reaches_a_tenant_from_outside(
    tenants: tuple[Socket, Socket], socket: Socket, name: str
) -> None:
    await socket.emit("say", {"room": name, "text": "hello"})
    await socket.expect_nothing()
    await tenants[1].expect_nothing()


async def test_broadcast_stays_within_the_tenant(
    tenants: tuple[Socket, Socket], socket: Socket
) -> None:
    await tenants[0].emit("shout", {"text": "hello"})
    await tenants[0].expect("shouted", "hello")
    await tenants[1].expect_nothing()
    await socket.expect_nothing()


async def test_broadcast_without_a_tenant_stays_out_of_tenants(
    tenants: tuple[Socket, Socket], socket: Socket
) -> None:
    await socket.emit("shout", {"text": "hello"})
    await socket.expect("shouted", "hello")
    await tenants[0].expect_nothing()


async def test_broadcast_can_cross_tenants(tenants: tuple[Socket, Socket], socket: Socket) -> None:
    await tenants[0].emit("shout", {"text": "hello", "all_tenants": True})
    for reached in (*tenants, socket):
        await reached.expect("shouted", "hello")


# Together with Channels


async def test_mixin_keeps_events_and_json_in_order() -> None:
    class Mixed(GatewayConsumer, AsyncJsonWebsocketConsumer):
        @subscribe("count")
        async def count(self, data: Any) -> None:
            await self.emit("one")
            await self.send_json({"two": 2})
            await self.send(text_data="3")
            await self.send(bytes_data=b"4")
            await self.emit("five")

    async with connected(Mixed.as_asgi()) as socket:
        await socket.emit("count")
        await socket.expect("one")
        assert await socket.receive_json_from() == {"two": 2}
        assert await socket.receive_from() == "3"
        assert await socket.receive_from() == b"4"
        await socket.expect("five")


async def test_send_may_close_too() -> None:
    class Mixed(GatewayConsumer, AsyncJsonWebsocketConsumer):
        @subscribe("last")
        async def last(self, data: Any) -> None:
            await self.send_json({"last": True}, close=4000)

    async with connected(Mixed.as_asgi()) as socket:
        await socket.emit("last")
        assert await socket.receive_json_from() == {"last": True}
        await socket.expect_close(4000)


async def test_disconnect_of_channels_is_called_too() -> None:
    codes: list[int] = []

    class Mixed(GatewayConsumer, AsyncWebsocketConsumer):
        async def disconnect(self, code: int) -> None:
            codes.append(code)

    async with connected(Mixed.as_asgi()) as socket:
        await socket.close(1001)
    assert codes == [1001]


async def test_groups_of_the_class_are_joined(layer: LocalChannelLayer) -> None:
    class News(GatewayConsumer):
        groups = ("news",)

    async with connected(News.as_asgi()) as socket:
        await layer.group_send("news", {"type": "gateway.event", "event": "news", "data": 1})
        await socket.expect("news", 1)
    assert not layer.groups


async def test_event_for_a_group_waits_until_the_socket_is_accepted(
    layer: LocalChannelLayer,
) -> None:
    class News(GatewayConsumer):
        groups = ("news",)

        async def connect(self) -> None:
            await layer.group_send("news", {"type": "gateway.event", "event": "early"})
            await turns()
            await self.accept()

    async with connected(News.as_asgi()) as socket:
        await layer.group_send("news", {"type": "gateway.event", "event": "late"})
        assert {(await socket.receive_event())[0] for _ in "ab"} == {"early", "late"}


async def test_event_for_a_group_does_not_crash_a_client_that_was_denied(
    layer: LocalChannelLayer,
) -> None:
    class Denying(GatewayConsumer):
        groups = ("news",)

        async def connect(self) -> None:
            raise DenyConnection

    socket = Socket(Denying.as_asgi())
    await socket.expect_refusal(1000)
    await layer.group_send("news", {"type": "gateway.event", "event": "late"})
    await turns()
    await socket.close(1006)


async def test_channel_message_goes_to_its_handler(
    chat: type[Chat], layer: LocalChannelLayer, socket: Socket
) -> None:
    await layer.send(chat.instances[0].channel_name, {"type": "custom.message", "value": 1})
    await socket.expect("custom", 1)


async def test_group_message_goes_to_its_handler(
    layer: LocalChannelLayer, pair: tuple[Socket, Socket]
) -> None:
    await layer.group_send("room", {"type": "custom.message", "value": 1})
    assert [await socket.receive_event() for socket in pair] == [("custom", 1)] * 2


async def test_channel_messages_keep_their_order(
    chat: type[Chat], layer: LocalChannelLayer, socket: Socket
) -> None:
    for number in range(20):
        message = {"type": "custom.message", "value": number}
        await layer.send(chat.instances[0].channel_name, message)
    assert [(await socket.receive_event())[1] for _ in range(20)] == list(range(20))


async def test_gateway_hears_of_messages_after_a_flush(
    chat: type[Chat], layer: LocalChannelLayer, socket: Socket
) -> None:
    await layer.flush()
    await turns()
    await layer.send(chat.instances[0].channel_name, {"type": "custom.message", "value": 1})
    await socket.expect("custom", 1)


async def test_outbound_frames_do_not_go_through_dispatch() -> None:
    dispatched: list[str] = []

    class Counting(Chat):
        async def dispatch(self, message: dict[str, Any]) -> None:
            dispatched.append(message["type"])
            await super().dispatch(message)

    async with connected(Counting.as_asgi()) as one, connected(Counting.as_asgi()) as other:
        await one.emit("shout", {"text": "hello"})
        await one.receive_event()
        await other.receive_event()
        assert dispatched == ["websocket.connect", "websocket.connect", "websocket.receive"]


async def test_gateway_runs_behind_routers_and_middleware(chat: type[Chat]) -> None:
    route = path("ws/<str:room>/", chat.as_asgi())
    routes = URLRouter([route])
    stack = AllowedHostsOriginValidator(AuthMiddlewareStack(routes))
    app = ProtocolTypeRouter({"websocket": stack})
    headers = [(b"origin", b"http://testserver")]
    async with connected(app, path="/ws/lobby/", headers=headers) as socket:
        await socket.emit("echo", "hello")
        await socket.expect("echo", "hello")
    scope = chat.instances[0].scope
    assert scope["url_route"]["kwargs"] == {"room": "lobby"}
    assert scope["user"].is_anonymous


async def test_page_of_another_origin_is_refused(chat: type[Chat]) -> None:
    app = OriginValidator(chat.as_asgi(), ["good.example"])
    headers = [(b"origin", b"http://evil.example")]
    await Socket(app, headers=headers).expect_refusal()
    assert not chat.connects


async def test_layer_that_is_not_ours_is_improperly_configured(chat: type[Chat]) -> None:
    channel_layers.set("default", InMemoryChannelLayer())
    with pytest.raises(ImproperlyConfigured, match=r'CHANNEL_LAYERS\["default"\].*InMemory'):
        await GatewayCommunicator(chat.as_asgi()).connect()


async def test_missing_layer_is_improperly_configured() -> None:
    class Elsewhere(GatewayConsumer):
        channel_layer_alias = "elsewhere"

    with pytest.raises(ImproperlyConfigured, match=r'CHANNEL_LAYERS\["elsewhere"\] is no channel'):
        await GatewayCommunicator(Elsewhere.as_asgi()).connect()


async def test_gateway_may_use_another_layer(layer: LocalChannelLayer) -> None:
    class Elsewhere(Recorded):
        channel_layer_alias = "elsewhere"

    channel_layers.set("elsewhere", other := LocalChannelLayer())
    async with connected(Elsewhere.as_asgi()):
        counts = [each.registry.connection_count() for each in (layer, other)]
    del channel_layers.backends["elsewhere"]
    assert counts == [0, 1]


def test_bad_settings_are_found_when_the_routes_are_made(
    chat: type[Chat], settings: Settings
) -> None:
    settings.ARCLY_CHANNELS = {"OUTBOUND_BUFFER": 0}
    with pytest.raises(ImproperlyConfigured, match="OUTBOUND_BUFFER"):
        chat.as_asgi()


def test_second_handler_of_an_event_fails_when_the_class_is_made() -> None:
    with pytest.raises(TypeError, match="two handlers of 'echo'"):

        class Twice(Chat):
            @subscribe("echo")
            async def echo_again(self, data: Any) -> None: ...


# Plain consumers on our layer


async def test_plain_async_consumer_gets_group_messages(layer: LocalChannelLayer) -> None:
    class Plain(AsyncWebsocketConsumer):
        groups = ("group",)

        async def custom_message(self, message: dict[str, Any]) -> None:
            await self.send(text_data=str(message["value"]))

    async with connected(Plain.as_asgi()) as socket:
        await layer.group_send("group", {"type": "custom.message", "value": 1})
        assert await socket.receive_json_from() == 1
    assert not layer.groups


async def test_plain_sync_consumer_gets_group_messages(layer: LocalChannelLayer) -> None:
    class Plain(WebsocketConsumer):
        groups = ("group",)

        def custom_message(self, message: dict[str, Any]) -> None:
            self.send(text_data=str(message["value"]))

    async with connected(Plain.as_asgi()) as socket:
        await layer.group_send("group", {"type": "custom.message", "value": 1})
        assert await socket.receive_json_from() == 1
    assert not layer.groups


@pytest.mark.parametrize("takes_anything", [False, True])
async def test_plain_consumer_that_was_evicted_ends_whatever_its_dispatch_does(
    gateway_clock: Clock, takes_anything: bool
) -> None:
    layer = LocalChannelLayer(capacity=1)
    channel_layers.set("default", layer)
    begun, go_on, handled = asyncio.Event(), asyncio.Event(), list[str]()

    class Plain(AsyncWebsocketConsumer):
        groups = ("group",)

        async def dispatch(self, message: dict[str, Any]) -> None:
            if takes_anything and not hasattr(self, message["type"].replace(".", "_")):
                return  # As strawberry's, which keeps what it does not know for its subscriptions.
            await super().dispatch(message)

        async def slow_message(self, message: dict[str, Any]) -> None:
            begun.set()
            await go_on.wait()
            handled.append(message["type"])

    async with connected(Plain.as_asgi()) as socket:
        for _ in range(4):
            await layer.group_send("group", {"type": "slow.message"})
            await soon(begun.wait())
        while not layer.registry.evictions:
            gateway_clock.jump(LOOK)
            await turns()
        go_on.set()
        with pytest.raises(SlowConsumer):
            await socket.ended()
    assert len(handled) == 4
