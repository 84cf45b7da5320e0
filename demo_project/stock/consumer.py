"""The slow client on stock Channels: a consumer in a group, and what the page asks of it."""

from __future__ import annotations

import time
from functools import partial
from typing import Any, ClassVar

from channels.generic.websocket import AsyncJsonWebsocketConsumer
from channels.layers import get_channel_layer

from demo_project.slow_client.load import ROOM, Broadcast, may_load, memory

broadcast = Broadcast()


class StockConsumer(AsyncJsonWebsocketConsumer):
    """A client that gets the broadcast, by a group; it is told what the other server tells."""

    connected: ClassVar[set[StockConsumer]] = set()
    deliveries: ClassVar[int] = 0

    async def connect(self) -> None:
        if not may_load(self.scope):
            await self.close()
            return
        await self.accept()
        await self.channel_layer.group_add(ROOM, self.channel_name)
        self.connected.add(self)

    async def disconnect(self, code: int) -> None:
        self.connected.discard(self)
        await self.channel_layer.group_discard(ROOM, self.channel_name)

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        if content["event"] == "figures":
            await self.send_json({"event": "figures", "data": self.figures()})
        elif content["event"] == "broadcast":
            broadcast.start(send_tick)
        elif content["event"] == "stop":
            await broadcast.stop()

    async def tick(self, message: dict[str, Any]) -> None:
        StockConsumer.deliveries += 1
        await self.send_json({"event": "tick", "data": message["text"]})

    @classmethod
    def figures(cls) -> dict[str, Any]:
        return {
            "time": time.monotonic(),
            "memory": memory(),
            "waiting": sum(map(waiting_for, cls.connected)),
            "evictions": 0,  # It knows none.
            "deliveries": cls.deliveries,
            "isRunning": broadcast.is_running,
        }


async def send_tick(text: str) -> None:
    await get_channel_layer().group_send(ROOM, {"type": "tick", "text": text})


def waiting_for(consumer: StockConsumer) -> int:
    """Return how many bytes the server keeps for a client, which no public name of Daphne says.

    `await self.send(…)` returns at once, and Twisted keeps what the socket does not take.
    """
    send: partial[Any] = consumer.base_send
    transport = send.args[0].transport
    waiting: int = len(transport.dataBuffer) - transport.offset + transport._tempDataLen
    return waiting
