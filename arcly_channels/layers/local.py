"""The channel layer of one process: Channels' messages and groups, and the gateways' registry."""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, ClassVar
from weakref import WeakValueDictionary

from asgiref.sync import markcoroutinefunction
from channels.layers import BaseChannelLayer

from arcly_channels.fanout.connections import Claims, ConnectionRegistry
from arcly_channels.fanout.outbox import Outbox
from arcly_channels.fanout.pump import Pump
from arcly_channels.layers.channels import OVERFLOWS, Channels
from arcly_channels.layers.fork import runs_again_in_children
from arcly_channels.layers.message import Message
from arcly_channels.layers.options import refuses_unknown_options, require_positive
from arcly_channels.layers.views import Joined, LiveView, Waiting
from arcly_channels.layers.waiter import Waiter
from arcly_channels.wire.envelope import Frame
from arcly_channels.wire.events import frame_of


class LocalChannelLayer(BaseChannelLayer):
    """A complete channel layer within one process, with the `groups` and `flush` extensions.

    `expiry`, `group_expiry` (seconds), `capacity` and `channel_capacity` mean what the Channels
    documentation says. `overflow` says what happens when a group message meets a full channel:
    `drop_newest` and `drop_oldest` drop a message and count it. `evict` is about the channel of one
    consumer (with a `!` in its name). It takes a burst of `mailbox.BURST` times its capacity before
    the newest is dropped and counted, and is evicted when its consumer takes nothing for
    `stall.STALL` seconds while it is full: it is out of all groups at once, and `receive` raises
    `SlowConsumer` after the backlog. Elsewhere `evict` means `drop_newest`.
    `shards` is how many locks the registry and the channels are split over (default: four for every
    processor).

    Every method may be called from any thread or event loop, and wakes receivers in theirs.

    Spec deviation: an expired message costs its channel the groups only if the channel is one
    consumer's that has not asked for a message since `expiry` or `mailbox.GONE` seconds, whichever
    is longer; nor does `group_expiry` end the membership of a gateway, which lasts as long as its
    connection.
    """

    extensions: ClassVar[list[str]] = ["groups", "flush"]

    @refuses_unknown_options
    @runs_again_in_children
    def __init__(
        self,
        expiry: float = 60,
        group_expiry: float = 86400,
        capacity: int = 100,
        channel_capacity: Mapping[Any, int] | None = None,
        *,
        overflow: str = "evict",
        shards: int | None = None,
    ) -> None:
        if overflow not in OVERFLOWS:
            raise ValueError(f"overflow is one of {', '.join(OVERFLOWS)}, not {overflow!r}")
        require_positive(expiry=expiry, group_expiry=group_expiry, capacity=capacity)
        capacities = {} if channel_capacity is None else channel_capacity
        if not isinstance(capacities, Mapping):
            raise TypeError(f"channel_capacity is a dict, not {capacities!r}")
        require_positive(**{str(pattern): value for pattern, value in capacities.items()})
        super().__init__(expiry=expiry, capacity=capacity)
        self.channel_capacity = self.compile_capacities(capacities)
        self.group_expiry = group_expiry
        self.registry = ConnectionRegistry(shards=shards)
        self._channels = Channels(
            shards=self.registry.shards,
            expiry=expiry,
            group_expiry=group_expiry,
            capacity_of=self._capacity_of,
            overflow=overflow,
            on_evicted=self._on_evicted,
        )
        self._gateways: dict[str, int] = {}
        """The connection of each channel that is a gateway's, …"""
        self._names: dict[int, str] = {}
        """… and the channel of each connection."""
        self._reserved: set[str] = set()
        """The channels of gateways that are not connected yet, and have a place below the cap."""
        # A pump lives for as long as it has connections.
        self._pumps: WeakValueDictionary[asyncio.AbstractEventLoop, Pump] = WeakValueDictionary()
        self._prefix = secrets.token_hex(6)
        self._handler_errors = 0
        self._lock = threading.Lock()  # Guards the errors and what is reserved.

    # The Channels specification

    async def new_channel(self, prefix: str = "specific.") -> str:
        """Return a channel name that nobody has or can guess, for a consumer of this process."""
        return f"{prefix}{self._prefix}!{secrets.token_urlsafe(12)}"

    async def send(self, channel: str, message: Message) -> None:
        """Put a message on a channel; raise `ChannelFull` when its capacity is reached.

        A `gateway.event` message to a gateway goes into its outbox as a frame.
        """
        id = self._gateways.get(channel)
        if id is not None:
            await self.registry.settle(id=id)
        self.send_now(channel, message)

    @markcoroutinefunction  # One call less than `async def`; `async_to_sync` wants to know.
    def receive(self, channel: str) -> Coroutine[Any, Any, Message]:
        """Return, once awaited, the oldest message on a channel as soon as there is one.

        Of several receivers each gets its own messages, whatever loops they are in. One that is
        cancelled takes no message with it.
        """
        return self._channels.receive(channel)

    async def group_add(self, group: str, channel: str) -> None:
        """Add a channel to a group, or renew its membership; a gateway joins the room."""
        self.require_valid_group_name(group)
        self.require_valid_channel_name(channel)
        id = self._gateways.get(channel)
        if id is None:
            self._channels.join(group, channel)
        else:
            await self.join(id, group)

    async def group_discard(self, group: str, channel: str) -> None:
        """Take a channel out of a group; one that is not in it is ignored."""
        self.require_valid_group_name(group)
        self.require_valid_channel_name(channel)
        id = self._gateways.get(channel)
        if id is not None:
            await self.leave(id, group)
        self._channels.leave(group, channel)

    async def group_send(self, group: str, message: Message) -> None:
        """Put a message on every channel of a group; a full one is dealt with as `overflow` says.

        A `gateway.event` message goes into the outboxes of the gateways in the group as a frame,
        encoded once, when more can be sent; see `ConnectionRegistry.settle`. Consumers get a turn
        while a channel is more than half full, so that a burst alone does not fill it.
        """
        await self.registry.settle(room=group)
        if self.group_send_now(group, message):
            await asyncio.sleep(0)

    async def flush(self) -> None:
        """Forget every message and every group; gateways stay connected, in no room."""
        self._channels.flush()
        for room in self.registry.rooms():
            for id in self.registry.room_members(room):
                await self.leave(id, room)

    async def close(self) -> None:
        """Stop the timer. The layer can still be used afterwards."""
        self._channels.stop()

    # The same without waiting, for code that is not async

    def send_now(self, channel: str, message: Message) -> None:
        """Do what `send` does, but for the wait."""
        _require_dict(message)
        frame = frame_of(message)
        id = self._gateways.get(channel)
        if frame is None or id is None:
            self._channels.send(channel, message)
        else:
            self.registry.send(id, frame)

    def group_send_now(self, group: str, message: Message) -> bool:
        """Do what `group_send` does, but for the waits; return whether a channel is half full."""
        _require_dict(message)
        self.require_valid_group_name(group)
        frame = frame_of(message)
        gateways: Iterable[str] = ()
        if frame is None:
            gateways = self._channels_of(self.registry.room_members(group))
        else:
            self.publish_now(group, frame)
        return self._channels.send_to_group(group, gateways, message)

    # Gateways

    def pump(self) -> Pump:
        """Return the lane for outboxes of the running event loop."""
        loop = asyncio.get_running_loop()
        pump = self._pumps.get(loop)
        if pump is None:
            pump = self._pumps[loop] = Pump(loop)
        return pump

    def reserve(self, channel: str, limit: int) -> bool:
        """Keep a place for a gateway that is to connect; return False if `limit` are taken.

        `disconnect` gives it back. A limit of 0 is none.
        """
        if not limit:
            return True
        with self._lock:
            is_free = self.registry.connection_count() + len(self._reserved) < limit
            if is_free:
                self._reserved.add(channel)
        return is_free

    def connect(self, channel: str, outbox: Outbox, claims: Claims | None = None) -> int:
        """Register a gateway's connection, and return its id; its groups are rooms from then on."""
        id = self.registry.register(outbox, claims)
        self._reserved.discard(channel)
        self._names[id] = channel
        self._gateways[channel] = id
        for group in self._channels.groups_of(channel):
            self._channels.leave(group, channel)
            self.registry.join_room(id, group)
        return id

    def disconnect(self, channel: str) -> None:
        """Remove a gateway's connection and forget its channel. Idempotent."""
        id = self._gateways.pop(channel, None)
        if id is not None:
            self._names.pop(id, None)
            self.registry.unregister(id)
        self._reserved.discard(channel)
        self._channels.forget(channel)

    async def join(self, id: int, group: str) -> None:
        """Put a gateway's connection into a group; an unknown id is ignored."""
        self.registry.join_room(id, group)

    async def leave(self, id: int, group: str) -> None:
        """Take a gateway's connection out of a group; an unknown id is ignored."""
        self.registry.leave_room(id, group)

    async def send_frame(self, id: int, frame: Frame) -> None:
        """Put a frame into one gateway's outbox, once more can be sent."""
        await self.registry.settle(id=id)
        self.registry.send(id, frame)

    async def publish(self, group: str | None, frame: Frame, *, exclude: int | None = None) -> None:
        """Put a frame into the outboxes of the gateways in `group`, or of all for None.

        `exclude` is the id of a connection to leave out. Waits until more can be sent.
        """
        await self.registry.settle(room=group)
        self.publish_now(group, frame, exclude=exclude)

    def publish_now(self, group: str | None, frame: Frame, *, exclude: int | None = None) -> None:
        """Do what `publish` does, but for the wait."""
        if group is None:
            self.registry.broadcast(frame, exclude=exclude)
        else:
            self.registry.broadcast_room(group, frame, exclude=exclude)

    async def close_group(self, group: str, code: int, reason: str = "") -> int:
        """Close the socket of every gateway in `group` with `code`; return how many were asked.

        They are out of the registry and of every group, so nothing more reaches them; what they
        were sent before gets the usual grace. Plain channels in the group are left alone.
        """
        return self.close_group_now(group, code, reason)

    def close_group_now(self, group: str, code: int, reason: str = "") -> int:
        """Do what `close_group` does, in code that is not async."""
        return self.registry.close_room(group, code, reason)

    def wait(self, channel: str) -> Waiter:
        """Return a future of the running loop, which is given the next message on a channel.

        It gives a function that returns the message, or None when it is to be asked for again; a
        future that is not used is given back by `stop_waiting`.
        """
        return self._channels.wait(channel)

    def stop_waiting(self, channel: str, waiter: Waiter) -> None:
        """Take back what `wait` returned, and keep what it was given."""
        self._channels.stop_waiting(channel, waiter)

    # Counts, tests and debugging

    def count_handler_error(self) -> None:
        """Count an event whose handler failed."""
        with self._lock:
            self._handler_errors += 1

    @property
    def counts(self) -> Mapping[str, int]:
        """How often what should not happen did."""
        return {**self._channels.counts, "handler_errors": self._handler_errors}

    @property
    def channels(self) -> LiveView[Waiting]:
        """The channels that have a message, a receiver or a group, with their waiting messages.

        Deleting one loses its messages and groups, but for a receiver that is there already.
        """
        return LiveView(self._waiting_on, self._channels.names, self._channels.forget)

    @property
    def groups(self) -> LiveView[Joined]:
        """The groups, with the names of the channels in them and when they joined."""
        return LiveView(self._members_of, self._all_groups, self._empty_group)

    # Inside

    def _capacity_of(self, channel: str) -> int:
        self.require_valid_channel_name(channel)
        capacity: int = self.get_capacity(channel)
        return capacity

    def _on_evicted(self, channel: str) -> None:
        id = self._gateways.get(channel)
        if id is None:
            self.registry.count_eviction(f"Channel {channel}")
        else:
            self.registry.evict(id)

    def _channels_of(self, ids: Iterable[int]) -> Iterable[str]:
        return filter(None, map(self._names.get, ids))

    def _waiting_on(self, channel: str) -> Waiting | None:
        messages = self._channels.waiting_on(channel)
        return None if messages is None else Waiting(messages)

    def _all_groups(self) -> list[str]:
        return list(dict.fromkeys([*self._channels.groups(), *self.registry.rooms()]))

    def _members_of(self, group: str) -> Joined | None:
        gateways = self._channels_of(self.registry.room_members(group))
        return Joined({**dict.fromkeys(gateways, 0.0), **self._channels.members(group)}) or None

    def _empty_group(self, group: str) -> None:
        for channel in self._channels.members(group):
            self._channels.leave(group, channel)
        for id in self.registry.room_members(group):
            self.registry.leave_room(id, group)


def _require_dict(message: object) -> None:
    if not isinstance(message, dict):
        raise TypeError(f"a message is a dict, not {type(message).__name__}")
