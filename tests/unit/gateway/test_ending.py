"""However a consumer ends: `on_disconnect` runs once, the client is told, and nothing is left."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Generator
from contextlib import suppress
from typing import Any

import pytest
from channels.exceptions import StopConsumer

from arcly_channels import subscribe
from arcly_channels.gateway import inbox
from arcly_channels.layers import LocalChannelLayer
from arcly_channels.session.limits import places
from arcly_channels.testing.waiting import eventually, soon, turns
from tests.gateways import Recorded, Socket, connected

pytestmark = pytest.mark.usefixtures("layer")

tells_cancels_apart = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="Python 3.10 cannot tell whom a CancelledError is for"
)


async def cancelled() -> None:
    """Await something that somebody else has cancelled."""
    future = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


class Ends(Recorded):
    """A gateway that ends as its client likes."""

    handled: list[Any]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.handled = []

    @subscribe("crash")
    async def crash(self, data: Any) -> None:
        await self.channel_layer.send(self.channel_name, {"type": "crash.message"})

    @subscribe("stop")
    async def stop(self, data: Any) -> None:
        raise StopConsumer

    @subscribe("await.cancelled")
    async def await_cancelled(self, data: Any) -> None:
        await cancelled()

    async def crash_message(self, message: dict[str, Any]) -> None:
        raise LookupError("crash")

    async def cancelled_message(self, message: dict[str, Any]) -> None:
        await cancelled()

    async def note_message(self, message: dict[str, Any]) -> None:
        self.handled.append((message["value"], list(self.disconnects)))


@pytest.fixture
def ends() -> type[Ends]:
    class TheseEnds(Ends):
        pass

    return TheseEnds


# What the client sees


async def test_crash_closes_with_1011(ends: type[Ends]) -> None:
    async with connected(ends.as_asgi()) as socket:
        await socket.emit("crash")
        await socket.expect_close(1011)
        with pytest.raises(LookupError):
            await socket.ended()
    assert ends.disconnects == [1011]


async def test_stop_consumer_closes_with_1000(ends: type[Ends]) -> None:
    async with connected(ends.as_asgi()) as socket:
        await socket.emit("stop")
        await socket.expect_close(1000)
        await socket.ended()
    assert ends.disconnects == [1000]


async def test_cancel_by_the_server_closes_with_1012(ends: type[Ends]) -> None:
    async with connected(ends.as_asgi()) as socket:
        socket.cancel()
        await socket.expect_close(1012)
    assert ends.disconnects == [1012]


async def test_what_was_sent_last_comes_before_the_close() -> None:
    class Ends(Recorded):
        @subscribe("end")
        async def end(self, data: Any) -> None:
            await self.emit("last")
            raise StopConsumer

        async def on_disconnect(self, code: int) -> None:
            await self.emit("really the last")

    async with connected(Ends.as_asgi()) as socket:
        await socket.emit("end")
        await socket.expect("last", None)
        await socket.expect("really the last", None)
        await socket.expect_close(1000)


async def test_peer_that_has_left_is_sent_no_close(ends: type[Ends]) -> None:
    async with connected(ends.as_asgi()) as socket:
        await socket.close(1001)
        with pytest.raises(AssertionError, match="the gateway has ended"):
            await socket.expect_close()


# Whose cancellation it is


@tells_cancels_apart
async def test_handler_that_awaits_what_was_cancelled_has_failed(ends: type[Ends]) -> None:
    async with connected(ends.as_asgi()) as socket:
        await socket.emit("await.cancelled")
        assert (await socket.receive_event())[1]["code"] == "internal"
        await socket.expect_nothing()
    assert ends.disconnects == [1000]


@tells_cancels_apart
@pytest.mark.parametrize("where", ["on_connect", "a channel handler", "on_disconnect"])
async def test_consumer_that_awaits_what_was_cancelled_has_crashed(
    ends: type[Ends], layer: LocalChannelLayer, where: str
) -> None:
    class Cancelled(ends):  # type: ignore[misc, valid-type]  # It is a fixture's.
        async def on_connect(self) -> None:
            if where == "on_connect":
                await cancelled()

        async def on_disconnect(self, code: int) -> None:
            await super().on_disconnect(code)
            if where == "on_disconnect":
                await cancelled()

    async with connected(Cancelled.as_asgi()) as socket:
        if where == "a channel handler":
            channel = Cancelled.instances[0].channel_name
            await layer.send(channel, {"type": "cancelled.message"})
        if where == "on_disconnect":
            await socket.emit("crash")
        await socket.expect_close(1011)
        with pytest.raises(RuntimeError, match="something that was cancelled"):
            await socket.ended()
    assert Cancelled.disconnects == [1011]


# A Channels message in the turn of the end


def cancel(socket: Socket) -> None:
    socket.cancel()


def disconnect(socket: Socket) -> None:
    socket.input_queue.put_nowait({"type": "websocket.disconnect", "code": 1001})


@pytest.mark.parametrize("end", [cancel, disconnect])
@pytest.mark.parametrize("comes_first", [True, False])
async def test_no_message_is_handled_after_the_goodbye(
    ends: type[Ends],
    layer: LocalChannelLayer,
    end: Callable[[Socket], None],
    comes_first: bool,
) -> None:
    async with connected(ends.as_asgi()) as socket:
        await turns()
        channel = ends.instances[0].channel_name
        for number in range(3):
            if (number == 0) is comes_first:
                end(socket)
            layer.send_now(channel, {"type": "note.message", "value": number})
    await turns()
    assert not any(disconnects for _, disconnects in ends.handled)
    assert len(ends.disconnects) == 1
    assert (dict(layer.channels), dict(layer.groups)) == ({}, {})


async def test_handler_that_ignores_being_cancelled_is_the_last(layer: LocalChannelLayer) -> None:
    begun = asyncio.Event()

    class Stubborn(Ends):
        async def stubborn_message(self, message: dict[str, Any]) -> None:
            begun.set()
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    async with connected(Stubborn.as_asgi()) as socket:
        channel = Stubborn.instances[0].channel_name
        await layer.send(channel, {"type": "stubborn.message"})
        await soon(begun.wait())
        await layer.send(channel, {"type": "note.message", "value": 1})
        socket.cancel()
        await eventually(lambda: not layer.channels)
    assert Stubborn.handled == []


async def test_handler_that_goes_on_when_cancelled_holds_up_no_goodbye(
    layer: LocalChannelLayer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(inbox, "CANCEL_TIMEOUT", 0.01)
    begun, ended = asyncio.Event(), asyncio.Event()

    class Endless(Recorded):
        async def endless_message(self, message: dict[str, Any]) -> None:
            begun.set()
            while not ended.is_set():
                with suppress(asyncio.CancelledError):
                    await ended.wait()

    try:
        async with connected(Endless.as_asgi()) as socket:
            await layer.send(Endless.instances[0].channel_name, {"type": "endless.message"})
            await soon(begun.wait())
            socket.cancel()
            await eventually(lambda: Endless.disconnects)
    finally:
        ended.set()
    assert [record.getMessage() for record in caplog.records] == [
        f"{Endless.__qualname__}.endless_message goes on though it was cancelled: it is left alone"
    ]
    await eventually(lambda: len(asyncio.all_tasks()) == 1)


# Cancelled at every wait


class CancelledAt:
    """Awaits a coroutine as a task does, whose server cancels it at the wait `first`, and after.

    `waits` is how often it waited.
    """

    def __init__(self, awaitable: Awaitable[None], first: int, times: int) -> None:
        self.waits = 0
        self._awaitable = awaitable
        self._when = range(first, first + times)

    def __await__(self) -> Generator[Any, Any, None]:
        steps: Any = self._awaitable.__await__()
        step, value = steps.send, None
        while True:
            try:
                waited_for = step(value)
            except StopIteration:
                return
            self.waits += 1
            task = asyncio.current_task()
            if self.waits in self._when and task is not None:
                task.cancel()
            try:
                step, value = steps.send, (yield waited_for)
            except BaseException as error:  # noqa: BLE001  # It is thrown into the coroutine.
                step, value = steps.throw, error


class Server:
    """Serves one client, who sends an event and leaves. Each of its calls takes a turn."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self._messages: list[dict[str, Any]] = [
            {"type": "websocket.connect"},
            {"type": "websocket.receive", "text": '{"event":"work"}'},
            {"type": "websocket.disconnect", "code": 1001},
        ]

    async def receive(self) -> dict[str, Any]:
        await asyncio.sleep(0)
        return self._messages.pop(0)

    async def send(self, message: dict[str, Any]) -> None:
        await asyncio.sleep(0)
        self.sent.append(message["type"])


class Busy(Recorded):
    """A gateway that waits at every stage of its life."""

    async def authorize(self) -> None:
        await asyncio.sleep(0)

    async def on_connect(self) -> None:
        await super().on_connect()
        await self.join_room("room")
        await asyncio.sleep(0)

    @subscribe("work")
    async def work(self, data: Any) -> None:
        await self.channel_layer.send(self.channel_name, {"type": "busy.message"})
        await asyncio.sleep(0)
        await self.emit("done")

    async def busy_message(self, message: dict[str, Any]) -> None:
        await asyncio.sleep(0)

    async def disconnect(self, code: int) -> None:
        await asyncio.sleep(0)

    async def on_disconnect(self, code: int) -> None:
        await super().on_disconnect(code)
        await asyncio.sleep(0)


class BusyInTime(Busy):
    """One whose handler runs in a task, for which the consumer waits."""

    @subscribe("work", timeout=60)
    async def work(self, data: Any) -> None:
        await super().work(data)


class BusyBeside(Busy):
    """One whose handler runs in a task, beside the consumer."""

    @subscribe("work", concurrency=2)
    async def work(self, data: Any) -> None:
        await super().work(data)


class BusyBesideInTime(Busy):
    @subscribe("work", concurrency=2, timeout=60)
    async def work(self, data: Any) -> None:
        await super().work(data)


async def serve_cancelled(gateway: type[Busy], first: int, times: int) -> tuple[int, Server]:
    """Serve one client; return how often its consumer waited, and what the server saw."""
    server = Server()
    scope = {"type": "websocket", "path": "/"}
    consumer = gateway.as_asgi()(scope, server.receive, server.send)
    serving = CancelledAt(consumer, first, times)

    async def serve() -> None:
        await serving

    with suppress(asyncio.CancelledError):
        await asyncio.create_task(serve())
    return serving.waits, server


@pytest.mark.parametrize("times", [1, 2, 3])
@pytest.mark.parametrize("busy", [Busy, BusyInTime, BusyBeside, BusyBesideInTime])
async def test_nothing_is_left_of_a_consumer_cancelled_at_any_wait(
    layer: LocalChannelLayer, busy: type[Busy], times: int
) -> None:
    before = places.taken
    for first in range(1, 1000):

        class ThisBusy(busy):  # type: ignore[misc, valid-type]  # It is one of several.
            pass

        waits, server = await serve_cancelled(ThisBusy, first, times)
        await eventually(lambda: len(asyncio.all_tasks()) == 1)
        is_accepted = "websocket.accept" in server.sent
        assert len(ThisBusy.disconnects) == is_accepted, f"cancelled at wait {first}"
        left = layer.registry.connection_count(), layer.registry.rooms()
        assert left == (0, []), f"cancelled at wait {first}"
        left_of_channels = dict(layer.channels), dict(layer.groups)
        assert left_of_channels == ({}, {}), f"cancelled at wait {first}"
        assert places.taken == before, f"cancelled at wait {first}"
        if waits < first:  # It was not cancelled at all.
            break
    assert ThisBusy.disconnects == [1001]
    assert waits >= 9


async def test_reason_is_there_in_on_disconnect() -> None:
    reasons = []

    class Tells(Recorded):
        async def on_disconnect(self, code: int) -> None:
            reasons.append(self.disconnect_reason)

    async with connected(Tells.as_asgi()) as socket:
        await socket.emit("hello")
    assert reasons == ["client"]
