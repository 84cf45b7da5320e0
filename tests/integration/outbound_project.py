"""An ASGI application for the tests of the outbound path, to be served by any server.

A member joins the room `all`; whoever connects to `/control` only watches. `events` gathers what
happened in the server, for `report`.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
from typing import Any
from weakref import WeakSet

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
os.environ.setdefault("TEST_ARCLY_CHANNELS", '{"RATE_LIMIT": 0}')  # Tests ask as fast as they can.
django.setup()

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.exceptions import StopConsumer  # noqa: E402
from channels.layers import get_channel_layer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.urls import path  # noqa: E402

from arcly_channels import (  # noqa: E402
    DisconnectReason,
    GatewayConsumer,
    broadcast_to_room,
    subscribe,
)
from arcly_channels.asgi import GatewayApplication  # noqa: E402
from arcly_channels.session.limits import places  # noqa: E402
from arcly_channels.transports.base import Transport  # noqa: E402

PADDING = "x" * 1000
ROOM = "all"

asked: list[str] = []
closed: list[int] = []
reasons: list[DisconnectReason | None] = []
handled: list[int] = []
transports: WeakSet[Transport] = WeakSet()
if "WITHOUT_GC" in os.environ:  # What is gone then is gone by itself.
    gc.disable()


class Gateway(GatewayConsumer):
    async def authorize(self) -> None:
        asked.append(self.scope["path"])
        if self.scope["path"] == "/doubtful":
            await asyncio.sleep(0.3)

    async def on_connect(self) -> None:
        assert self._gateway_session.transport is not None
        transports.add(self._gateway_session.transport)
        if self.scope["path"] != "/control":
            await self.join_room(ROOM)
        await self.emit("ready", type(self._gateway_session.transport).__name__)

    async def on_disconnect(self, code: int) -> None:
        if self.scope["path"] == "/thoughtful":
            await asyncio.sleep(0.05)  # As somebody does who tells a database.
        closed.append(code)
        reasons.append(self.disconnect_reason)
        sys.stderr.write(f"closed with {code}\n")

    @subscribe("burst")
    async def burst(self, count: int) -> None:
        for number in range(count):
            await self.broadcast_to_room(ROOM, "tick", {"n": number, "p": PADDING})
        await self.emit("done")

    @subscribe("thread")
    async def burst_from_thread(self, count: int) -> None:
        def run() -> None:
            for number in range(count):
                broadcast_to_room(ROOM, "tick", {"n": number, "p": PADDING})

        await asyncio.get_running_loop().run_in_executor(None, run)
        await self.emit("done")

    @subscribe("frames")
    async def frames(self, data: dict[str, Any]) -> None:
        """Broadcast `frames` of `size` bytes; tell which of them evicted somebody, and when.

        They are sent by a coroutine or, with `in_thread`, by a thread.
        """
        registry, started = get_channel_layer().registry, time.monotonic()
        padding = "x" * (data["size"] - len('{"event":"tick","data":""}'))
        evicted: list[float] = []

        def note(number: int) -> None:
            if registry.evictions and not evicted:
                evicted[:] = number, time.monotonic() - started

        def run() -> None:
            for number in range(data["frames"]):
                broadcast_to_room(ROOM, "tick", padding)
                note(number)

        if data["in_thread"]:
            await asyncio.get_running_loop().run_in_executor(None, run)
        else:
            for number in range(data["frames"]):
                await self.broadcast_to_room(ROOM, "tick", padding)
                note(number)
        await self.emit("done", evicted)

    @subscribe("trickle")
    async def trickle(self, data: dict[str, Any]) -> None:
        """Broadcast at a steady rate: `count` frames, `every` seconds apart."""
        for number in range(data["count"]):
            await self.broadcast_to_room(ROOM, "tick", {"n": number, "p": PADDING})
            await asyncio.sleep(data["every"])
        await self.emit("done")

    @subscribe("sleep")
    async def sleep(self, seconds: float) -> None:
        await self.emit("good night")
        await asyncio.sleep(seconds)

    @subscribe("sleep beside", concurrency=2)
    async def sleep_beside(self, seconds: float) -> None:
        await self.emit("good night")
        await asyncio.sleep(seconds)

    @subscribe("goodbye")
    async def goodbye(self, _: Any) -> None:
        await self.close(4002)

    @subscribe("mixed")
    async def mixed(self, count: int) -> None:
        """Alternate emits and broadcasts, then close, all without waiting for anything else."""
        for number in range(0, count, 2):
            await self.emit("tick", {"n": number})
            await self.broadcast("tick", {"n": number + 1})
        await self.close(4000)

    @subscribe("end")
    async def end(self, _: Any) -> None:
        """Say goodbye, close and end, without waiting for anything."""
        await self.emit("last")
        await self.close(4001)
        raise StopConsumer

    @subscribe("finish")
    async def finish(self, way: str) -> None:
        """Say goodbye and end, one way or another, without closing."""
        await self.emit("last")
        if way == "stop":
            raise StopConsumer
        await self.channel_layer.send(self.channel_name, {"type": f"{way}.message"})

    async def crash_message(self, _: Any) -> None:
        await self.emit("really the last")
        raise LookupError("crash")

    async def cancelled_message(self, _: Any) -> None:
        await self.emit("really the last")
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    @subscribe("take")
    async def take(self, data: dict[str, Any]) -> None:
        await asyncio.sleep(0.0005)  # A handler that has something to do.
        handled.append(data["n"])

    @subscribe("close_all")
    async def close_all(self, code: int) -> None:
        self.channel_layer.registry.close_all(code)

    @subscribe("report")
    async def report(self, _: Any) -> None:
        layer = get_channel_layer()
        await self.emit(
            "report",
            {
                "evictions": layer.registry.evictions,
                "connections": layer.registry.connection_count(),
                "members": len(layer.registry.room_members(ROOM)),
                "asked": asked,
                "closed": closed,
                "reasons": reasons,
                "places": places.taken,
                "transports": len(transports),
                "handled": handled,
                "unread": max(each.unread() or 0 for each in list(transports)),
                "held_up": max(each.held_up() for each in list(transports)),
            },
        )


class Hiding:
    """Middleware that hides the server's `send` in a closure, as some does."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def hidden(message: Any) -> None:
            await send(message)

        await self.inner(scope, receive, hidden)


routes = URLRouter(
    [path(name, Gateway.as_asgi()) for name in ("", "control", "thoughtful", "doubtful")]
)
application = ProtocolTypeRouter({"websocket": AuthMiddlewareStack(routes)})
hidden = Hiding(application)
found_again = GatewayApplication(hidden)
