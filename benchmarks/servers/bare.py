"""The least an ASGI application can do to broadcast: `await send()`, socket by socket."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from .commands import MEMBER_PATH, READY, Commands, tick_text

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

COMMANDS = Commands()
MEMBERS: set[Send] = set()


async def application(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """One WebSocket. Nothing bounds what a slow client leaves in the server's buffers."""
    if scope["type"] != "websocket":
        return
    await receive()
    await send({"type": "websocket.accept"})
    if scope["path"] == MEMBER_PATH:
        MEMBERS.add(send)
    await send({"type": "websocket.send", "text": READY})
    while (message := await receive())["type"] == "websocket.receive":
        command = json.loads(message["text"])
        reply = await COMMANDS.obey(command["event"], command["data"], _tick)
        if reply is not None:
            await send(
                {"type": "websocket.send", "text": json.dumps({"event": "done", "data": reply})}
            )
    MEMBERS.discard(send)


async def _tick(number: int, size: int) -> None:
    message = {"type": "websocket.send", "text": tick_text(number, size)}
    for send in tuple(MEMBERS):
        await send(message)


def create() -> Any:
    """The ASGI application; servers call this once."""
    return application
