"""What a class that serves clients calls: for its own, and for the others through it."""

from __future__ import annotations

from typing import Any

from arcly_channels.gateway.reporting import Reporting
from arcly_channels.layers.message import Message
from arcly_channels.session.client import ClientHandle


class Speaking(Reporting):
    """Has the methods of its client's handle."""

    @property
    def client(self) -> ClientHandle:
        """The handle to this client, safe to keep; there is none before it is accepted."""
        client = self._gateway_session.client
        if client is None:
            raise RuntimeError("there is no client before its socket is accepted; see on_connect")
        return client

    @property
    def id(self) -> int:
        """The id of this connection, which no other of this process has."""
        return self.client.id

    async def emit(self, event: str, data: Any = None) -> None:
        """Send an event to this client; see `ClientHandle`."""
        await self.client.emit(event, data)

    async def broadcast(
        self, event: str, data: Any = None, *, exclude_self: bool = False, all_tenants: bool = False
    ) -> None:
        """Send an event to every client of this tenant; see `ClientHandle`."""
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
        if self._gateway_session.client is not None:  # Else it was denied, and is about to end.
            await self.emit(message["event"], message.get("data"))
