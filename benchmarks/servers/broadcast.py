"""`websockets.broadcast()` in the websockets library's own asyncio server."""

from __future__ import annotations

import json
from typing import Any

from websockets.asyncio.server import ServerConnection, broadcast, serve

from .commands import MEMBER_PATH, READY, Commands, tick_text

COMMANDS = Commands()
MEMBERS: set[ServerConnection] = set()


async def _tick(number: int, size: int) -> None:
    broadcast(MEMBERS, tick_text(number, size))


async def _handle(connection: ServerConnection) -> None:
    if connection.request is not None and connection.request.path == MEMBER_PATH:
        MEMBERS.add(connection)
    await connection.send(READY)
    async for text in connection:
        command: dict[str, Any] = json.loads(text)
        reply = await COMMANDS.obey(command["event"], command["data"], _tick)
        if reply is not None:
            await connection.send(json.dumps({"event": "done", "data": reply}))
    MEMBERS.discard(connection)


async def serve_forever(port: int) -> None:
    """Serve until the process ends."""
    async with serve(_handle, "127.0.0.1", port, ping_interval=None) as server:
        await server.serve_forever()
