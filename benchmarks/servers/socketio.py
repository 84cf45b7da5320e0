"""python-socketio with one room, as its documentation builds it."""

from __future__ import annotations

from typing import Any

import socketio

from .commands import CONTROL_PATH, ROOM, Commands, tick_data

COMMANDS = Commands()
SHELL = len('42["tick",]')


def create() -> Any:
    """The ASGI application; servers call this once."""
    # always_connect: "connected" then goes out before "ready", after which nothing may follow.
    server = socketio.AsyncServer(async_mode="asgi", always_connect=True, ping_interval=3600)

    async def tick(number: int, size: int) -> None:
        await server.emit("tick", tick_data(number, size, SHELL), room=ROOM)

    async def connect(sid: str, environ: dict[str, Any]) -> None:
        if CONTROL_PATH not in environ["QUERY_STRING"]:
            await server.enter_room(sid, ROOM)
        await server.emit("ready", to=sid)

    async def command(event: str, sid: str, data: dict[str, Any]) -> None:
        reply = await COMMANDS.obey(event, data, tick)
        if reply is not None:
            await server.emit("done", reply, to=sid)

    server.on("connect", connect)
    server.on("*", command)
    return socketio.ASGIApp(server)
