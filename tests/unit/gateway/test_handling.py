"""Handlers with limits, and such as are no coroutines: what their clients get, and what is left."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, ClassVar

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from channels.exceptions import DenyConnection, StopConsumer

from arcly_channels import EventRefused, broadcast_to_room, subscribe
from arcly_channels.fanout.audience import One
from arcly_channels.gateway import edge
from arcly_channels.layers import LocalChannelLayer
from arcly_channels.session.limits import places
from arcly_channels.testing.waiting import DEADLINE, eventually, soon, turns
from arcly_channels.wire import protocol
from tests.gateways import Recorded, Socket, connected

pytestmark = pytest.mark.usefixtures("layer")

SOON = 0.02
"""A timeout that is to pass."""

FRAME = {"type": "websocket.receive"}

tells_cancels_apart = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="Python 3.10 cannot tell whom a CancelledError is for"
)


@pytest.fixture
def no_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have consumers not wait for handlers that go on."""
    monkeypatch.setattr(edge, "CANCEL_TIMEOUT", 0.01)


class Gate(Recorded):
    """A gateway whose handlers note what they do, and wait until `go` is set."""

    notes: list[Any]
    go: asyncio.Event

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.notes, cls.go = [], asyncio.Event()

    async def wait(self, data: Any) -> Any:
        self.notes.append(("begin", data))
        try:
            await self.go.wait()
        finally:
            self.notes.append(("end", data))
        return data

    @subscribe("note")
    async def note(self, data: Any) -> None:
        self.notes.append(("note", data))

    async def note_message(self, message: dict[str, Any]) -> None:
        self.notes.append("message")

    async def on_disconnect(self, code: int) -> None:
        self.notes.append("goodbye")
        await super().on_disconnect(code)

    @classmethod
    def begun(cls) -> list[Any]:
        return [note[1] for note in cls.notes if note[0] == "begin"]


def v1(gateway: type[Recorded]) -> Any:
    """Connect a client of `arcly.v1`, which is told of results."""
    return connected(gateway.as_asgi(), subprotocols=[protocol.SUBPROTOCOL])


async def answer(socket: Socket) -> tuple[Any, Any]:
    """Return the ref of what is next but the welcome, and the data or the code of an error."""
    frame = await socket.receive_json_from()
    if frame["event"] == protocol.WELCOME:
        frame = await socket.receive_json_from()
    code = frame["data"]["code"] if frame["event"] == "error" else None
    return frame.get("ref"), code or frame["data"]


# timeout


class Timeouts(Gate):
    @subscribe("wait", timeout=SOON)
    async def take_long(self, data: Any) -> Any:
        return await self.wait(data)

    @subscribe("go on", timeout=SOON)
    async def go_on(self, data: Any) -> Any:
        with suppress(asyncio.CancelledError):
            await self.wait(data)
        await self.go.wait()
        return "never seen"

    @subscribe("in time", timeout=DEADLINE)
    async def be_in_time(self, data: Any) -> Any:
        await asyncio.sleep(0)
        return data

    @subscribe("own timeout", timeout=DEADLINE)
    async def time_out(self, data: Any) -> Any:
        raise asyncio.TimeoutError


async def test_handler_that_takes_too_long_is_cancelled_and_answered() -> None:
    class ThisGate(Timeouts): ...

    async with v1(ThisGate) as socket:
        await socket.emit("wait", 1, ref="a")
        assert await answer(socket) == ("a", "timeout")
        await eventually(lambda: ThisGate.notes == [("begin", 1), ("end", 1)])
        await socket.emit("note", 2, ref="b")
        assert await answer(socket) == ("b", None)


async def test_bare_client_is_told_of_a_timeout_too() -> None:
    class ThisGate(Timeouts): ...

    async with connected(ThisGate.as_asgi()) as socket:
        await socket.emit("wait", ref=7)
        error = {"code": "timeout", "message": "this took longer than 0.02 s"}
        assert await socket.receive_json_from() == {"event": "error", "data": error, "ref": 7}


async def test_handler_in_time_is_answered_as_any() -> None:
    class ThisGate(Timeouts): ...

    async with v1(ThisGate) as socket:
        await socket.emit("in time", [1], ref=1)
        assert await answer(socket) == (1, [1])


async def test_timeout_of_the_handlers_own_is_a_failure() -> None:
    class ThisGate(Timeouts): ...

    async with v1(ThisGate) as socket:
        await socket.emit("own timeout", ref=1)
        assert await answer(socket) == (1, "internal")


async def test_timeouts_are_counted_and_logged(
    caplog: pytest.LogCaptureFixture, layer: LocalChannelLayer
) -> None:
    class ThisGate(Timeouts): ...

    async with v1(ThisGate) as socket:
        for ref in range(3):
            await socket.emit("wait", ref=ref)
            assert await answer(socket) == (ref, "timeout")
    logged = [record.getMessage() for record in caplog.records if "took longer" in record.message]
    assert logged[0].endswith("ThisGate.take_long took longer than 0.02 s")
    assert layer.counts["handler_errors"] == 3


@pytest.mark.usefixtures("no_grace")
async def test_handler_that_goes_on_holds_up_no_other_event() -> None:
    class ThisGate(Timeouts): ...

    async with v1(ThisGate) as socket:
        await socket.emit("go on", 1, ref="a")
        await socket.emit("note", 2, ref="b")
        assert await answer(socket) == ("a", "timeout")
        assert await answer(socket) == ("b", None)


@pytest.mark.usefixtures("no_grace")
async def test_handler_that_goes_on_keeps_its_slot() -> None:
    class ThisGate(Timeouts): ...

    async with v1(ThisGate) as socket:
        for ref in range(3):
            await socket.emit("go on", ref, ref=ref)
            assert await answer(socket) == (ref, "timeout")
        assert ThisGate.begun() == [0]
        ThisGate.go.set()
        await socket.emit("go on", 9, ref=9)
        assert await answer(socket) == (9, "never seen")


async def test_handler_that_fails_after_its_timeout_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class ThisGate(Gate):
        @subscribe("wait", timeout=SOON)
        async def take_long(self, data: Any) -> Any:
            try:
                await self.go.wait()
            finally:
                raise LookupError("the cause")

    async with v1(ThisGate) as socket:
        await socket.emit("wait", ref=1)
        assert await answer(socket) == (1, "timeout")
        await eventually(lambda: "the cause" in caplog.text)
    assert "take_long failed after it was cancelled" in caplog.text


async def test_handler_that_says_no_after_its_timeout_is_not_heard(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class ThisGate(Gate):
        @subscribe("wait", timeout=SOON)
        async def take_long(self, data: Any) -> Any:
            try:
                await self.go.wait()
            finally:
                raise StopConsumer

    async with v1(ThisGate) as socket:
        await socket.emit("wait", ref=1)
        assert await answer(socket) == (1, "timeout")
        await turns()
        await socket.expect_nothing()
    assert "failed" not in caplog.text


@tells_cancels_apart
async def test_handler_with_a_timeout_that_awaits_what_was_cancelled_has_failed() -> None:
    class ThisGate(Gate):
        @subscribe("wait", timeout=DEADLINE)
        async def await_cancelled(self, data: Any) -> None:
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future

    async with v1(ThisGate) as socket:
        await socket.emit("wait", ref=1)
        assert await answer(socket) == (1, "internal")
        await socket.expect_nothing()


# rate


class Rates(Gate):
    @subscribe("note", rate="2/h")
    async def note(self, data: Any) -> None:
        await super().note(data)

    @subscribe("other", rate="1/m", burst=2)
    async def other(self, data: Any) -> None: ...

    @subscribe("staff", rate="1/h", roles="staff")
    async def for_staff(self, data: Any) -> None: ...


async def test_event_too_many_is_told_when_to_come_again() -> None:
    class ThisGate(Rates): ...

    async with connected(ThisGate.as_asgi()) as socket:
        for number in range(3):
            await socket.emit("note", number, ref=number)
        frame = await socket.receive_json_from()
    retry_after = frame["data"].pop("retry_after")
    assert 1790 < retry_after <= 1800
    error = {"code": "rate_limited", "message": "too many of these"}
    assert frame == {"event": "error", "data": error, "ref": 2}
    assert ThisGate.notes == [("note", 0), ("note", 1), "goodbye"]


async def test_every_event_and_every_connection_has_its_own_rate() -> None:
    class ThisGate(Rates): ...

    async with v1(ThisGate) as one, v1(ThisGate) as other:
        for socket in (one, other):
            for event in ("note", "other", "note", "other"):
                await socket.emit(event, ref=1)
                assert await answer(socket) == (1, None)
            for event in ("note", "other"):
                await socket.emit(event, ref=1)
                assert await answer(socket) == (1, "rate_limited")


async def test_event_that_is_not_allowed_costs_nothing() -> None:
    class ThisGate(Rates): ...

    async with v1(ThisGate) as socket:
        for ref in range(3):
            await socket.emit("staff", ref=ref)
            assert await answer(socket) == (ref, "forbidden")


async def test_connection_without_such_events_has_no_buckets() -> None:
    class ThisGate(Rates): ...

    async with connected(ThisGate.as_asgi()) as socket:
        await socket.expect_nothing()
        (gateway,) = ThisGate.instances
        assert not any("lines" in name for name in vars(gateway))


# concurrency


class Beside(Gate):
    @subscribe("wait", concurrency=2)
    async def wait_beside(self, data: Any) -> Any:
        return await self.wait(data)

    @subscribe("wait in time", concurrency=2, timeout=SOON)
    async def wait_in_time(self, data: Any) -> Any:
        return await self.wait(data)

    @subscribe("do", concurrency=2)
    async def do(self, data: Any) -> Any:
        await asyncio.sleep(0)
        if data == "stop":
            raise StopConsumer
        if data == "close":
            await self.close(4001)
        if data == "fail":
            raise LookupError("the cause")
        if data == "refuse":
            raise EventRefused("no", "no")
        if data == "crash":
            raise DenyConnection
        return data


async def test_so_many_handlers_run_at_once_and_no_more() -> None:
    class ThisGate(Beside): ...

    async with v1(ThisGate) as socket:
        for number in range(4):
            await socket.emit("wait", number, ref=number)
        await eventually(lambda: len(ThisGate.begun()) == 2)
        await turns(20)
        assert ThisGate.begun() == [0, 1]
        ThisGate.go.set()
        assert sorted([await answer(socket) for _ in range(4)]) == [(n, n) for n in range(4)]
    assert ThisGate.begun() == [0, 1, 2, 3]


async def test_other_events_overtake_and_wait_behind_a_full_one() -> None:
    class ThisGate(Beside): ...

    async with v1(ThisGate) as socket:
        await socket.emit("wait", 0, ref="slow")
        await socket.emit("note", 1, ref="quick")
        assert await answer(socket) == ("quick", None)
        await socket.emit("wait", 2, ref="slow")
        await socket.emit("wait", 3, ref="slow")
        await socket.emit("note", 4, ref="quick")
        await eventually(lambda: len(ThisGate.begun()) == 2)
        await turns(20)
        assert ("note", 4) not in ThisGate.notes
        ThisGate.go.set()
        refs = [(await answer(socket))[0] for _ in range(4)]
        assert sorted(refs) == ["quick", "slow", "slow", "slow"]


async def test_nothing_is_read_while_all_slots_are_taken() -> None:
    class ThisGate(Beside): ...

    taken = 0

    async def receive() -> dict[str, Any]:
        nonlocal taken
        taken += 1
        text = '{"event":"wait"}'
        await asyncio.sleep(0)
        return {"type": "websocket.connect"} if taken == 1 else {**FRAME, "text": text}

    async def send(message: dict[str, Any]) -> None: ...

    scope = {"type": "websocket", "path": "/"}
    serving = asyncio.ensure_future(ThisGate.as_asgi()(scope, receive, send))
    await eventually(lambda: len(ThisGate.begun()) == 2)
    await turns(50)
    assert taken == 4  # The third event waits for a slot.
    serving.cancel()
    with suppress(asyncio.CancelledError):
        await soon(serving)


async def test_timeout_counts_beside_others_too() -> None:
    class ThisGate(Beside): ...

    async with v1(ThisGate) as socket:
        await socket.emit("wait in time", 1, ref=1)
        await socket.emit("wait in time", 2, ref=2)
        await socket.emit("note", 3, ref=3)
        assert await answer(socket) == (3, None)
        assert [await answer(socket), await answer(socket)] == [(1, "timeout"), (2, "timeout")]


@pytest.mark.parametrize(
    ("does", "reply"), [("fail", "internal"), ("refuse", "no"), ("return", "return")]
)
async def test_handler_beside_others_is_answered_as_any(does: str, reply: str) -> None:
    class ThisGate(Beside): ...

    async with v1(ThisGate) as socket:
        await socket.emit("do", does, ref=1)
        assert await answer(socket) == (1, reply)
        await socket.expect_nothing()


@pytest.mark.parametrize(("does", "code"), [("stop", 1000), ("close", 4001), ("crash", 1011)])
async def test_handler_beside_others_can_end_the_connection(does: str, code: int) -> None:
    class ThisGate(Beside): ...

    async with connected(ThisGate.as_asgi()) as socket:
        await socket.emit("wait", 1)
        await socket.emit("do", does)
        await socket.expect_close(code)
        with suppress(DenyConnection):
            await socket.ended()
    assert ThisGate.notes == [("begin", 1), ("end", 1), "goodbye"]
    assert ThisGate.disconnects == [code]


async def test_no_handler_begins_once_another_has_ended_the_connection() -> None:
    class ThisGate(Gate):
        @subscribe("end", concurrency=2)
        async def end(self, data: Any) -> None:
            await self.wait(data)
            raise StopConsumer

    async with connected(ThisGate.as_asgi()) as socket:
        for number in range(3):
            await socket.emit("end", number)
        await eventually(lambda: len(ThisGate.begun()) == 2)
        ThisGate.go.set()
        await socket.expect_close(1000)
        await socket.ended()
    assert ThisGate.begun() == [0, 1]


# How they end


@pytest.mark.parametrize("event", ["wait", "wait in time"])
async def test_handlers_end_before_the_goodbye_to_a_client_that_left(event: str) -> None:
    class ThisGate(Beside):
        async def disconnect(self, code: int) -> None:
            self.notes.append("disconnect")

    async with connected(ThisGate.as_asgi()) as socket:
        await socket.emit(event, 1)
        await socket.emit(event, 2)
        await eventually(lambda: len(ThisGate.begun()) == 2)
        await socket.close(1001)
    assert sorted(ThisGate.notes[2:4]) == [("end", 1), ("end", 2)]
    assert ThisGate.notes[4:] == ["disconnect", "goodbye"]
    assert ThisGate.disconnects == [1001]


@pytest.mark.parametrize("event", ["wait", "wait in time", "alone"])
async def test_handlers_end_before_the_goodbye_when_the_server_cancels(event: str) -> None:
    class ThisGate(Beside):
        @subscribe("alone", timeout=DEADLINE)
        async def wait_alone(self, data: Any) -> None:
            await self.wait(data)

        @subscribe("wait in time", concurrency=2, timeout=DEADLINE)
        async def wait_in_time(self, data: Any) -> None:
            await self.wait(data)

    async with connected(ThisGate.as_asgi()) as socket:
        await socket.emit(event, 1)
        await eventually(ThisGate.begun)
        socket.cancel()
        await socket.expect_close(1012)
    assert ThisGate.notes == [("begin", 1), ("end", 1), "goodbye"]
    assert ThisGate.disconnects == [1012]


async def test_handlers_end_with_a_client_that_is_made_to_go_and_waits_for_a_slot() -> None:
    class ThisGate(Beside): ...

    async with v1(ThisGate) as socket:
        for number in range(3):
            await socket.emit("wait", number)
        await eventually(lambda: len(ThisGate.begun()) == 2)
        await turns(20)
        for session in places.holders():
            session.close(4001)
            session.abandon()
        await eventually(lambda: ThisGate.disconnects == [4001])
    assert ThisGate.begun() == [0, 1]


@pytest.mark.usefixtures("no_grace")
async def test_handler_that_ignores_being_cancelled_does_not_keep_the_goodbye(
    caplog: pytest.LogCaptureFixture, layer: LocalChannelLayer
) -> None:
    class ThisGate(Gate):
        @subscribe("go on", concurrency=2)
        async def go_on(self, data: Any) -> None:
            self.notes.append("begin")
            for _ in range(3):
                with suppress(asyncio.CancelledError):
                    await self.go.wait()
            await self.broadcast("I am still here")
            self.notes.append("end")

    async with connected(ThisGate.as_asgi()) as other:
        async with connected(ThisGate.as_asgi()) as socket:
            await socket.emit("go on")
            await eventually(lambda: ThisGate.notes == ["begin"])
            await socket.close()
        assert ThisGate.notes == ["begin", "goodbye"]
        assert "go_on goes on though it was cancelled" in caplog.text
        assert layer.counts["handler_errors"] == 1
        ThisGate.go.set()
        await eventually(lambda: "end" in ThisGate.notes)
        await other.expect_nothing()


async def test_handlers_of_a_kicked_client_publish_nothing(layer: LocalChannelLayer) -> None:
    class ThisGate(Gate):
        @subscribe("shout", concurrency=2)
        async def shout(self, data: Any) -> None:
            self.notes.append("begin")
            try:
                await self.go.wait()
            finally:
                await self.broadcast("shouted")
                self.notes.append("end")

    async with connected(ThisGate.as_asgi()) as other, connected(ThisGate.as_asgi()) as socket:
        await socket.emit("shout")
        await eventually(lambda: ThisGate.notes == ["begin"])
        layer.registry.close(One(ThisGate.connects[1]), 4401)
        await socket.expect_close(4401)
        await socket.ended()
        assert ThisGate.notes == ["begin", "end", "goodbye"]
        await other.expect_nothing()


# Handlers that are no coroutines


class Sync(Gate):
    may_go: ClassVar[threading.Event]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.may_go = threading.Event()

    @subscribe("return")
    def give(self, data: Any) -> Any:
        self.notes.append(threading.current_thread())
        return data

    @subscribe("fail")
    def fail(self, data: Any) -> None:
        raise LookupError("the cause")

    @subscribe("refuse")
    def refuse(self, data: Any) -> None:
        raise EventRefused("no", "no")

    @subscribe("stop")
    def stop(self, data: Any) -> None:
        raise StopConsumer

    @subscribe("emit")
    def emit_some(self, data: Any) -> str:
        for number in range(3):
            async_to_sync(self.emit)("number", number)
        async_to_sync(self.join_room)("tea")
        broadcast_to_room("tea", "tea", 1)
        async_to_sync(self.broadcast_to_room)("tea", "tea", 2)
        return "last"

    @subscribe("take long", timeout=SOON)
    def take_long(self, data: Any) -> str:
        self.notes.append(("begin", data))
        self.may_go.wait(DEADLINE)
        self.notes.append(("end", data))
        return "never seen"


@pytest.fixture
def in_thread() -> Iterator[type[Sync]]:
    """A gateway whose threads end with the test."""

    class ThisSync(Sync): ...

    yield ThisSync
    ThisSync.may_go.set()


async def test_def_runs_in_the_thread_of_the_database(in_thread: type[Sync]) -> None:
    async with v1(in_thread) as socket:
        await socket.emit("return", [1], ref=1)
        assert await answer(socket) == (1, [1])
    assert in_thread.notes[0] is await sync_to_async(threading.current_thread)()


@pytest.mark.parametrize(("event", "reply"), [("fail", "internal"), ("refuse", "no")])
async def test_failed_def_is_answered_as_any(in_thread: type[Sync], event: str, reply: str) -> None:
    async with v1(in_thread) as socket:
        await socket.emit(event, ref=1)
        assert await answer(socket) == (1, reply)
        await socket.expect_nothing()


async def test_def_can_end_the_connection(in_thread: type[Sync]) -> None:
    async with connected(in_thread.as_asgi()) as socket:
        await socket.emit("stop")
        await socket.expect_close(1000)
    assert in_thread.disconnects == [1000]


async def test_def_can_send_and_publish(in_thread: type[Sync]) -> None:
    async with connected(in_thread.as_asgi()) as socket:
        await socket.emit("emit")
        events = [await socket.receive_event() for _ in range(5)]
    assert events == [*(("number", number) for number in range(3)), ("tea", 1), ("tea", 2)]


async def test_events_of_defs_are_handled_in_order(in_thread: type[Sync]) -> None:
    async with v1(in_thread) as socket:
        for ref in range(5):
            await socket.emit("note" if ref % 2 else "return", ref, ref=ref)
        assert [(await answer(socket))[0] for _ in range(5)] == list(range(5))


async def test_def_that_takes_too_long_goes_on_for_nobody(in_thread: type[Sync]) -> None:
    async with v1(in_thread) as socket:
        await socket.emit("take long", 1, ref=1)
        assert await answer(socket) == (1, "timeout")
        await socket.emit("note", 2, ref=2)
        assert await answer(socket) == (2, None)
        assert in_thread.notes == [("begin", 1), ("note", 2)]
        in_thread.may_go.set()
        await eventually(lambda: ("end", 1) in in_thread.notes)
        await socket.expect_nothing()


async def test_def_that_has_not_begun_in_time_never_does(in_thread: type[Sync]) -> None:
    async with v1(in_thread) as one, v1(in_thread) as other:
        await one.emit("take long", 1, ref=1)
        assert await answer(one) == (1, "timeout")
        await other.emit("take long", 2, ref=2)
        assert await answer(other) == (2, "timeout")
        in_thread.may_go.set()
        await sync_to_async(list)()
    assert in_thread.begun() == [1]


@pytest.mark.usefixtures("no_grace")
async def test_def_that_goes_on_does_not_keep_the_goodbye(in_thread: type[Sync]) -> None:
    async with connected(in_thread.as_asgi()) as socket:
        await socket.emit("take long", 1)
        await eventually(in_thread.begun)
        task = socket.cancel()
        await socket.expect_close(1012)
        with suppress(asyncio.CancelledError):
            await soon(task)
    assert in_thread.notes == [("begin", 1), "goodbye"]
