"""An ASGI application for the tests of a server's end, which writes down what happens to whom.

Whoever connects to `/thoughtful` is said goodbye to for `GOODBYE` seconds.
"""

from __future__ import annotations

import asyncio
import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

from channels.auth import AuthMiddlewareStack  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.urls import path  # noqa: E402

from arcly_channels import GatewayConsumer, abroadcast, subscribe  # noqa: E402

GOODBYE = float(os.environ.get("GOODBYE", "3"))
STALLED = "stalled"
tasks: list[asyncio.Task[None]] = []


def note(*words: object) -> None:
    sys.stderr.write(" ".join(map(str, words)) + "\n")


class Gateway(GatewayConsumer):
    async def on_connect(self) -> None:
        if self.scope["path"] == f"/{STALLED}":
            await self.join_room(STALLED)
        await self.emit("ready", self.id)

    async def on_disconnect(self, code: int) -> None:
        note("goodbye to", self.id, code)
        if self.scope["path"] == "/thoughtful":
            await asyncio.sleep(GOODBYE)
        note("gone is", self.id, code)

    @subscribe("work")
    async def work(self, seconds: float) -> None:
        await self.emit("working")
        await asyncio.sleep(seconds)

    @subscribe("insist")
    async def insist(self, seconds: float) -> None:
        """Work, and ignore the first cancellation."""
        await self.emit("working")
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            await asyncio.sleep(seconds)

    @subscribe("chatter")
    async def chatter(self, pause: float) -> None:
        """Broadcast to everybody, for ever."""

        async def talk() -> None:
            while True:
                await abroadcast("chatter", "x" * 200)
                await asyncio.sleep(pause)

        tasks.append(asyncio.create_task(talk()))
        await self.emit("working")

    @subscribe("fill")
    async def fill(self, _: object) -> None:
        """Send to who is stalled until the server can take no more."""
        stalled = self.channel_layer.registry.members(STALLED)
        while any(each.outbox.pending_frames < 5 for each in stalled):
            await self.broadcast_to_room(STALLED, "padding", "x" * 10_000)
            await asyncio.sleep(0.001)
        await self.emit("working")


routes = URLRouter(
    [path(name, Gateway.as_asgi()) for name in ("", "thoughtful", STALLED)],
)
application = ProtocolTypeRouter({"websocket": AuthMiddlewareStack(routes)})
