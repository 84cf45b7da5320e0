"""Clients of a gateway that runs without a server, and one server whose client does not read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar

from channels.testing import WebsocketCommunicator

from arcly_channels import GatewayConsumer
from tests.waiting import DEADLINE, soon

Application = Callable[..., Awaitable[None]]


class Recorded(GatewayConsumer):
    """A gateway that notes its instances and the calls of its hooks; use it by a subclass."""

    instances: ClassVar[list[Any]]
    connects: ClassVar[list[int]]
    disconnects: ClassVar[list[int]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.instances, cls.connects, cls.disconnects = [], [], []

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.instances.append(self)

    async def on_connect(self) -> None:
        self.connects.append(self.id)

    async def on_disconnect(self, code: int) -> None:
        self.disconnects.append(code)


class Socket:
    """A client's end of a WebSocket. `scope` is added to the scope that the application gets."""

    def __init__(
        self,
        application: Application,
        path: str = "/",
        headers: list[tuple[bytes, bytes]] | None = None,
        **scope: Any,
    ) -> None:
        self._end = WebsocketCommunicator(application, path, headers)
        self._end.scope.update(scope)

    async def connect(self) -> int | None:
        """Return None when the socket was accepted, or else the code of the refusal."""
        await self._end.send_input({"type": "websocket.connect"})
        message = await self._next()
        if message["type"] == "websocket.accept":
            return None
        assert message["type"] == "websocket.close"
        return int(message.get("code", 1000))

    async def send(self, event: str, data: Any = None, **more: Any) -> None:
        await self.send_text(json.dumps({"event": event, "data": data, **more}))

    async def send_text(self, text: str) -> None:
        await self._end.send_input({"type": "websocket.receive", "text": text})

    async def send_bytes(self, payload: bytes) -> None:
        await self._end.send_input({"type": "websocket.receive", "bytes": payload})

    async def receive(self) -> Any:
        """Return the next frame: the value of a text frame, which is JSON, or bytes."""
        message = await self._next()
        assert message["type"] == "websocket.send"
        return json.loads(message["text"]) if "text" in message else message["bytes"]

    async def receive_event(self) -> tuple[str, Any]:
        envelope = await self.receive()
        return envelope["event"], envelope["data"]

    async def receive_close(self) -> int:
        """Return the code of the close frame that is next."""
        message = await self._next()
        assert message["type"] == "websocket.close"
        return int(message["code"])

    async def got_nothing(self) -> bool:
        """Return whether the gateway sent no frame up to here, having handled all it was sent."""
        await self.send("is there anything?", ref="mark")
        return bool((await self.receive()).get("ref") == "mark")

    async def close(self, code: int | None = 1000) -> None:
        """Close or answer a close, and wait until the application has ended; raise its error."""
        message: dict[str, Any] = {"type": "websocket.disconnect"}
        await self._end.send_input(message if code is None else {**message, "code": code})
        await self.ended()

    async def ended(self) -> None:
        """Wait until the application has ended by itself; raise its error."""
        await soon(asyncio.shield(self._end.future))

    def put(self, message: dict[str, Any]) -> None:
        """Give a message to the application, which takes it in a later turn of the loop."""
        self._end.input_queue.put_nowait(message)

    def cancel(self) -> asyncio.Future[None]:
        """Do what a server does that stops: cancel the application. Returns its task."""
        task: asyncio.Future[None] = self._end.future
        task.cancel()
        return task

    async def hang_up(self) -> None:
        """End the application, however; its error is no matter."""
        if not self._end.future.done():
            await self._end.send_input({"type": "websocket.disconnect", "code": 1000})
        with suppress(Exception, asyncio.CancelledError):
            await self.ended()

    async def _next(self) -> dict[str, Any]:
        """Return what the application sends next; raise its error when it ends instead."""
        getting = asyncio.ensure_future(self._end.output_queue.get())
        await asyncio.sleep(0)  # What is there already comes before an end.
        waits = [getting, self._end.future]
        await asyncio.wait(waits, timeout=DEADLINE, return_when=asyncio.FIRST_COMPLETED)
        if not getting.done():
            getting.cancel()
            self._end.future.result()
            raise AssertionError("the application has ended without an error")
        message: dict[str, Any] = getting.result()
        return message


@asynccontextmanager
async def connected(application: Application, **scope: Any) -> AsyncIterator[Socket]:
    """Connect to an application for as long as the block lasts."""
    socket = Socket(application, **scope)
    assert await socket.connect() is None
    try:
        yield socket
    finally:
        await socket.hang_up()


class StuckServer:
    """Serves one client that reads nothing: after the handshake, `send` does not return.

    `sent` has what was sent nevertheless.
    """

    def __init__(self, application: Application) -> None:
        self.sent: list[str] = []
        self._received: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._received.put_nowait({"type": "websocket.connect"})
        scope = {"type": "websocket", "path": "/"}
        self.task = asyncio.ensure_future(application(scope, self._received.get, self._send))

    async def _send(self, message: dict[str, Any]) -> None:
        if message["type"] != "websocket.accept":
            await asyncio.Event().wait()
        self.sent.append(message["type"])
