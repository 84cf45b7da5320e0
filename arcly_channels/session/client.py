"""The handle to one client: what a gateway's handler may keep and hand on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arcly_channels.conf.settings import get_settings
from arcly_channels.exceptions import EventRefused
from arcly_channels.fanout.outbox import Outbox
from arcly_channels.layers.base import GatewayLayer
from arcly_channels.reasons import Limit
from arcly_channels.rooms import TenantLike, group_name, is_room, lobby_name
from arcly_channels.wire import protocol
from arcly_channels.wire.envelope import Ref
from arcly_channels.wire.events import Encode, encode_event


class ClientHandle:
    """One connected client, for use in any task, thread or event loop, for as long as you like.

    Its methods do nothing once the socket is closed, by this side or by the peer, except in
    `on_disconnect`, which may tell the others. What they send is in the outboxes when they return;
    they wait only while a burst is ahead of clients that read (and hardly for one that does not),
    so a loop of broadcasts is slowed to what those can take. All raise `EnvelopeError` for data
    that is no JSON and `InvalidRoom` for a bad room, and then have sent nothing.
    """

    __slots__ = (
        "_encode",
        "_is_farewell",
        "_is_gone",
        "_layer",
        "_outbox",
        "claims",
        "id",
        "is_v1",
        "namespace",
        "tenant",
    )

    def __init__(
        self,
        layer: GatewayLayer,
        outbox: Outbox,
        id: int,
        *,
        claims: Mapping[str, Any] | None,
        tenant: TenantLike | None,
        namespace: str | None = None,
        encode: Encode = encode_event,
    ) -> None:
        self._encode = encode
        self._layer = layer
        self._outbox = outbox
        self._is_farewell = False
        self._is_gone = False
        self.id = id
        self.is_v1 = outbox.dialect is not None
        """Whether the client speaks `arcly.v1`, and not just the bare envelope."""
        self.claims = claims
        self.tenant = tenant
        self.namespace = namespace
        """What scopes its rooms, beside the tenant."""

    @property
    def pending_frames(self) -> int:
        """How many frames wait for the client in this process."""
        return self._outbox.pending_frames

    @property
    def pending_bytes(self) -> int:
        """How many bytes of payload wait for the client in this process."""
        return self._outbox.pending_bytes

    @property
    def is_gone(self) -> bool:
        """Whether the socket is closed, so that nothing happens here any more."""
        is_closed = self._outbox.close_code is not None
        return self._is_gone or (is_closed and not self._is_farewell)

    def begin_farewell(self) -> None:
        """Speak for `on_disconnect`, though the socket is closed. For the session's own use."""
        self._is_farewell = True

    def set_gone(self) -> None:
        """Do nothing from now on. For the session's own use."""
        self._is_gone = True

    async def emit(self, event: str, data: Any = None) -> None:
        """Send an event to this client only."""
        if not self.is_gone:
            await self._layer.send_frame(self.id, self._encode(event, data))

    async def broadcast(
        self, event: str, data: Any = None, *, exclude_self: bool = False, all_tenants: bool = False
    ) -> None:
        """Send an event to every client of this client's tenant, itself included.

        Without tenancy that is everyone. `all_tenants` crosses tenants.
        """
        if not self.is_gone:
            group = None if all_tenants else lobby_name(self.tenant)
            await self._publish(group, event, data, exclude_self)

    async def broadcast_to_room(
        self, room: str, event: str, data: Any = None, *, exclude_self: bool = False
    ) -> None:
        """Send an event to every client in `room` of this client's tenant, itself included."""
        if not self.is_gone:
            group = self._group_of(room)
            await self._publish(group, event, data, exclude_self, room=room)

    async def join_room(self, room: str) -> None:
        """Put this client into `room`: it gets what is broadcast there from now on.

        With `arcly.v1` it is told so first. Raises `EventRefused` with the code `too_many_rooms`
        when it is in `MAX_ROOMS_PER_CONNECTION` others.
        """
        await self.join(room)

    async def leave_room(self, room: str) -> None:
        """Take this client out of `room`. With `arcly.v1` it is told so last."""
        await self.leave(room)

    def is_in_room(self, room: str) -> bool:
        """Return whether this client is in `room`, and not gone; `InvalidRoom` for a bad room."""
        group = self._group_of(room)
        row = self._layer.registry.get(self.id)
        return not self.is_gone and row is not None and group in row.groups

    async def join(self, room: str, ref: Ref = None) -> None:
        """Do what `join_room` does, in reply to `ref`. For the gateway's own use."""
        if self.is_gone:
            return
        group = self._group_of(room)
        limit = get_settings().MAX_ROOMS_PER_CONNECTION
        if limit and self._has_rooms(limit, group):
            self._layer.count_limit(Limit.ROOMS)
            raise EventRefused(protocol.TOO_MANY_ROOMS, f"one client is in at most {limit} rooms")
        joined = protocol.room_frame(protocol.JOINED, room, ref) if self.is_v1 else None
        await self._layer.join(self.id, group, joined)

    async def leave(self, room: str, ref: Ref = None) -> None:
        """Do what `leave_room` does, in reply to `ref`. For the gateway's own use."""
        if not self.is_gone:
            group = self._group_of(room)
            left = protocol.room_frame(protocol.LEFT, room, ref) if self.is_v1 else None
            await self._layer.leave(self.id, group, left)

    def _has_rooms(self, number: int, but: str) -> bool:
        """Return whether this client is in so many rooms, and not in the one of the group `but`."""
        row = self._layer.registry.get(self.id)
        if row is None or len(row.groups) < number or but in row.groups:
            return False  # Nearly always, and not by counting: some groups are no rooms.
        return sum(map(is_room, row.groups.copy())) >= number

    def _group_of(self, room: str) -> str:
        return group_name(room, self.tenant, namespace=self.namespace)

    async def _publish(
        self,
        group: str | None,
        event: str,
        data: Any,
        exclude_self: bool,
        *,
        room: str | None = None,
    ) -> None:
        exclude = self.id if exclude_self else None
        await self._layer.publish(group, self._encode(event, data, room=room), exclude=exclude)

    def __repr__(self) -> str:
        return f"<ClientHandle {self.id}{' (gone)' if self.is_gone else ''}>"
