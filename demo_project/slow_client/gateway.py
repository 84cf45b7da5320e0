"""The slow client on this layer: what the page sees of the server, and what it may do to it."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from arcly_channels import CloseCode, GatewayConsumer, Refused, abroadcast_to_room, subscribe
from arcly_channels.layers.configured import gateway_layers
from arcly_channels.layers.watch import overview
from demo_project.slow_client.load import ROOM, Broadcast, may_load, memory
from demo_project.slow_client.stalled import Crowd

broadcast = Broadcast()
crowd = Crowd()


class SlowClientGateway(GatewayConsumer):
    """A client that gets the broadcast: the page, which reads, or one that does not."""

    require_tenant = False  # The room is one for all.

    async def authorize(self) -> None:
        if not may_load(self.scope):
            raise Refused(CloseCode.FORBIDDEN, "this is for who runs the demo, on his machine")

    async def on_connect(self) -> None:
        await self.join_room(ROOM)

    @subscribe("figures")
    async def tell_figures(self, data: Any) -> None:
        found = overview(gateway_layers(), clients=0)
        figures = {
            "time": found["clock"],
            "memory": memory(),
            "waiting": found["pending_bytes"],
            "evictions": found["evictions"],
            "deliveries": found["frames_out"],
            "isRunning": broadcast.is_running,
        }
        await self.emit("figures", figures)

    @subscribe("stall")
    async def open_stalled_clients(self, data: Any) -> None:
        """Have others connect to both servers, from this machine, and never read."""
        ports = [self.scope["server"][1], settings.STOCK_PORT]
        crowd.gather([int(port) for port in ports if port])

    @subscribe("broadcast")
    async def start_broadcast(self, data: Any) -> None:
        broadcast.start(lambda text: abroadcast_to_room(ROOM, "tick", text))

    @subscribe("stop")
    async def stop(self, data: Any) -> None:
        crowd.disperse()
        await broadcast.stop()
