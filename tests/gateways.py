"""Clients of a gateway that runs without a server, and one server whose client does not read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from arcly_channels import GatewayConsumer
from arcly_channels.asgi import Application
from arcly_channels.testing import GatewayCommunicator
from arcly_channels.testing.waiting import DEADLINE, soon


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


class Socket(GatewayCommunicator):
    """A client whose gateway may fail: what it fails with is raised by `ended`, and only there."""

    timeout = DEADLINE  # Tests run side by side.

    def __init__(self, application: Application, path: str = "/", **scope: Any) -> None:
        super().__init__(application, path, raise_errors=False)
        self.scope.update(scope)

    async def knock(self) -> int | None:
        """Ask to be let in; return None, or the code of the refusal."""
        return await self._shake_hands()

    async def receive_event(self) -> tuple[str, Any]:
        envelope = await self.receive_json_from()
        return envelope["event"], envelope["data"]

    async def close(self, code: int | None = 1000) -> None:
        """Close or answer a close, and wait until the application has ended; raise its error."""
        await self.disconnect(code)
        await self.ended()

    async def ended(self) -> None:
        """Wait until the application has ended by itself; raise its error."""
        await soon(asyncio.shield(self.future))

    def cancel(self) -> asyncio.Future[None]:
        """Do what a server does that stops: cancel the application. Returns its task."""
        task: asyncio.Future[None] = self.future
        task.cancel()
        return task


@asynccontextmanager
async def connected(application: Application, **scope: Any) -> AsyncIterator[Socket]:
    """Connect to an application for as long as the block lasts."""
    async with Socket(application, **scope) as socket:
        await socket.connect()
        yield socket


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
