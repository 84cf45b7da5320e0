"""A consumer whose queue is never empty lets the others run."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from arcly_channels import subscribe
from arcly_channels.layers import LocalChannelLayer
from tests.gateways import Recorded, connected

pytestmark = pytest.mark.usefixtures("layer")


class FloodedServer:
    """A server that always has another frame of its client, until `frames` of `event` are taken."""

    def __init__(self, event: str, frames: int) -> None:
        self._frame = {"type": "websocket.receive", "text": f'{{"event":"{event}"}}'}
        self._frames = frames
        self._is_connected = False

    async def receive(self) -> dict[str, Any]:
        if not self._is_connected:
            self._is_connected = True
            return {"type": "websocket.connect"}
        self._frames -= 1
        return self._frame if self._frames >= 0 else {"type": "websocket.disconnect", "code": 1000}

    async def send(self, message: dict[str, Any]) -> None:
        pass


class Flooded(Recorded):
    @subscribe("quick")
    async def quick(self, data: Any) -> None: ...

    @subscribe("beside", concurrency=1000)
    async def beside(self, data: Any) -> None: ...

    @subscribe("slow")
    async def slow(self, data: Any) -> None:
        time.sleep(0.003)  # noqa: ASYNC251  # It is what holds the loop up.


@pytest.mark.parametrize(
    ("event", "frames", "least"), [("quick", 320, 10), ("slow", 10, 10), ("beside", 99, 99)]
)
async def test_flood_of_frames_lets_others_run(event: str, frames: int, least: int) -> None:
    turns = 0
    server = FloodedServer(event, frames)
    scope = {"type": "websocket", "path": "/"}
    serving = asyncio.create_task(Flooded.as_asgi()(scope, server.receive, server.send))
    while not serving.done():
        await asyncio.sleep(0)
        turns += 1
    await serving
    assert turns >= least


async def test_flood_of_channels_messages_lets_others_run(layer: LocalChannelLayer) -> None:
    handled = []

    class Messages(Recorded):
        async def note_message(self, message: dict[str, Any]) -> None:
            handled.append(message)

    async with connected(Messages.as_asgi()):
        for _ in range(96):
            layer.send_now(Messages.instances[0].channel_name, {"type": "note.message"})
        turns = 0
        while len(handled) < 96:
            await asyncio.sleep(0)
            turns += 1
    assert turns >= 3
