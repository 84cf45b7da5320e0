"""Clients of an event stream that runs without a server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from channels.testing import ApplicationCommunicator

from arcly_channels.testing.waiting import DEADLINE, soon

Application = Callable[..., Awaitable[None]]


class Listener:
    """The end of one response. `scope` is added to the scope that the application gets."""

    def __init__(
        self, application: Application, query: str = "", *, last: str = "", **scope: Any
    ) -> None:
        headers = [(b"last-event-id", last.encode())] if last else []
        asked = {"type": "http", "method": "GET", "path": "/", "query_string": query.encode()}
        self._end = ApplicationCommunicator(application, {**asked, "headers": headers, **scope})
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = ""
        self._told = 0

    async def ask(self) -> int:
        """Send the request; return the status of the response."""
        await self._end.send_input({"type": "http.request", "body": b"", "more_body": False})
        start = await self._end.receive_output(DEADLINE)
        assert start["type"] == "http.response.start"
        self.headers = {name.decode(): value.decode() for name, value in start["headers"]}
        self.status = start["status"]
        return self.status

    async def whole(self) -> str:
        """Return the body of a response that has an end."""
        while await self._more():
            pass
        return self.body

    async def receive(self) -> Any:
        """Return the next frame."""
        while "\n\n" not in self.body[self._told :]:
            await self._more()
        event, _, _ = self.body[self._told :].partition("\n\n")
        self._told += len(event) + 2
        lines = [line[6:] for line in event.split("\n") if line.startswith("data: ")]
        return json.loads("\n".join(lines))

    async def receive_event(self) -> tuple[str, Any]:
        frame = await self.receive()
        return frame["event"], frame["data"]

    async def hang_up(self) -> None:
        """Leave, and wait until the application has ended."""
        if not self._end.future.done():
            await self._end.send_input({"type": "http.disconnect"})
        with suppress(Exception, asyncio.CancelledError):
            await self.ended()

    async def ended(self) -> None:
        """Wait until the application has ended; raise its error."""
        await soon(asyncio.shield(self._end.future))

    async def _more(self) -> bool:
        message = await self._end.receive_output(DEADLINE)
        assert message["type"] == "http.response.body"
        self.body += message.get("body", b"").decode()
        return bool(message.get("more_body"))


@asynccontextmanager
async def listening(
    application: Application, query: str = "", **scope: Any
) -> AsyncIterator[Listener]:
    """Have a stream, and hang up at the end."""
    listener = Listener(application, query, **scope)
    assert await listener.ask() == 200
    try:
        yield listener
    finally:
        await listener.hang_up()
