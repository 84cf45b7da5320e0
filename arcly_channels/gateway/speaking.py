"""What a class that serves clients calls: for its own, and for the others through it."""

from __future__ import annotations

from typing import Any

from arcly_channels.gateway.reporting import Reporting
from arcly_channels.layers.message import Message
from arcly_channels.session.client import ClientHandle
from arcly_channels.wire.events import frame_of


class Speaking(Reporting):
    """Has the methods of its client's handle."""

    @property
    def client(self) -> ClientHandle:
        """The `ClientHandle` to keep; there is none before the client is accepted."""
        client = self._gateway_session.client
        if client is None:
            raise RuntimeError("there is no client before its socket is accepted; see on_connect")
        return client

    @property
    def id(self) -> int:
        """The number of this connection, which no other of this process has."""
        return self.client.id

    async def emit(self, event: str, data: Any = None) -> None:
        """Send an event to this client; see `ClientHandle`."""
        await self.client.emit(event, data)

    async def broadcast(
        self, event: str, data: Any = None, *, exclude_self: bool = False, all_tenants: bool = False
    ) -> None:
        """Send an event to every client of this tenant, itself included; see `ClientHandle`."""
        await self.client.broadcast(event, data, exclude_self=exclude_self, all_tenants=all_tenants)

    async def broadcast_to_room(
        self, room: str, event: str, data: Any = None, *, exclude_self: bool = False
    ) -> None:
        """Send an event to every client in `room`; see `ClientHandle`."""
        await self.client.broadcast_to_room(room, event, data, exclude_self=exclude_self)

    async def join_room(self, room: str) -> None:
        """Put this client into `room`; see `ClientHandle`."""
        await self.client.join_room(room)

    async def leave_room(self, room: str) -> None:
        """Take this client out of `room`."""
        await self.client.leave_room(room)

    async def gateway_event(self, message: Message) -> None:
        """Send the client an event that came for it before it was registered."""
        client, frame = self._gateway_session.client, frame_of(message)
        if client is not None and frame is not None and not client.is_gone:
            # As it would have been by the layer: what others send is not this gateway's `sends`.
            await self.channel_layer.send_frame(client.id, frame)
