"""What every layer of ours is: Channels' interface, the gateways, and the seam to other processes.

Each public way to send is the same three steps: wait for who is behind, tell the relay, do the
local half. What the relay brings from elsewhere runs the local half only.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping
from functools import partial
from typing import Any, ClassVar
from weakref import WeakValueDictionary

from asgiref.sync import markcoroutinefunction
from channels.layers import BaseChannelLayer

from arcly_channels.conf.settings import get_settings
from arcly_channels.fanout.audience import EVERYONE, Audience, Everyone, Group, One
from arcly_channels.fanout.lanes import Lane
from arcly_channels.fanout.outbox import Outbox
from arcly_channels.fanout.pacing import release
from arcly_channels.fanout.pulse import STALLED
from arcly_channels.fanout.pump import Pump
from arcly_channels.fanout.rows import NOBODY, About
from arcly_channels.layers.channels import OVERFLOWS, Channels
from arcly_channels.layers.counted import Counted
from arcly_channels.layers.delivery import Delivery
from arcly_channels.layers.message import Copier, Message
from arcly_channels.layers.options import require_one_of, require_positive
from arcly_channels.layers.views import ChannelsView, GroupsView
from arcly_channels.layers.waiter import Waiter
from arcly_channels.registry import ConnectionRegistry
from arcly_channels.relay.contract import Kind, Parcel, Relay
from arcly_channels.wire.envelope import Frame
from arcly_channels.wire.events import frame_of
from arcly_channels.wire.protocol import V1


class GatewayLayer(Counted, BaseChannelLayer):
    """A channel layer that gateways can be in. Use a subclass: `LocalChannelLayer`.

    Every method may be called from any thread or event loop. Those whose names end in `_now` do not
    wait in a running event loop; a plain thread waits in them as the others do.
    """

    extensions: ClassVar[list[str]] = ["groups", "flush"]

    def __init__(
        self,
        relay: Relay,
        *,
        expiry: float,
        group_expiry: float,
        capacity: int,
        channel_capacity: Mapping[Any, int] | None,
        overflow: str,
        shards: int | None,
        pass_on: Callable[[str, Copier], None] | None = None,
    ) -> None:
        require_one_of("overflow", overflow, OVERFLOWS)
        require_positive(expiry=expiry, group_expiry=group_expiry, capacity=capacity)
        capacities = {} if channel_capacity is None else channel_capacity
        if not isinstance(capacities, Mapping):
            raise TypeError(f"channel_capacity is a dict, not {capacities!r}")
        require_positive(**{str(pattern): value for pattern, value in capacities.items()})
        Counted.__init__(self)
        BaseChannelLayer.__init__(self, expiry=expiry, capacity=capacity)
        self.channel_capacity = self.compile_capacities(capacities)
        self.group_expiry = group_expiry
        self.relay = relay
        self.registry = ConnectionRegistry(
            shards=shards,
            clock=lambda: time.monotonic(),  # Looked up anew, as everywhere: a test may move it.
            stall_timeout=lambda: get_settings().STALL_TIMEOUT,
            ping_interval=lambda: get_settings().PING_INTERVAL,
            idle_timeout=lambda: get_settings().IDLE_TIMEOUT,
            on_emptied=relay.emptied,
        )
        self._channels = Channels(
            shards=self.registry.shards,
            expiry=expiry,
            group_expiry=group_expiry,
            capacity_of=self._capacity_of,
            overflow=overflow,
            on_evicted=self._on_evicted,
            on_emptied=relay.emptied,
            pass_on=pass_on,
        )
        # A pump lives for as long as it has connections.
        self._pumps: WeakValueDictionary[asyncio.AbstractEventLoop, Pump] = WeakValueDictionary()
        self._delivery = Delivery(self.registry, self._channels)
        self.closings = self._delivery.closings
        """What was closed here a moment ago, for clients that were still on their way in."""
        self.on_parcel = self._delivery.take
        self.v1 = V1(self.spread)
        """The dialect of clients that speak `arcly.v1`."""
        self.leaving = 0
        """How many connections there were when the server began to end, while it does."""

    @property
    def node(self) -> str:
        """What tells this layer from those of other processes."""
        return self.relay.node

    @property
    def reaches_others(self) -> bool:
        """Whether there may be other processes that this layer reaches."""
        return self.relay.reaches_others

    # The Channels specification

    async def send(self, channel: str, message: Message) -> None:
        """Put a message on a channel; raise `ChannelFull` when its capacity is reached.

        A `gateway.event` message to a gateway goes into its outbox as a frame.
        """
        frame = self._frame_of(message)
        connection = self.registry.of_channel(channel)
        if connection is None or frame is None:
            self._channels.send(channel, message)
        else:
            await self.send_frame(connection.id, frame)

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
        connection = self.registry.of_channel(channel)
        if connection is not None:
            await self.join(connection.id, group)
            return
        await self.relay.follow(group)
        try:
            self._channels.join(group, channel)
        finally:
            self.relay.unfollow(group)

    async def group_discard(self, group: str, channel: str) -> None:
        """Take a channel out of a group; one that is not in it is ignored."""
        self.require_valid_group_name(group)
        self.require_valid_channel_name(channel)
        connection = self.registry.of_channel(channel)
        if connection is not None:
            await self.leave(connection.id, group)
        self._channels.leave(group, channel)

    async def group_send(self, group: str, message: Message) -> None:
        """Put a message on every channel of a group; a full one is dealt with as `overflow` says.

        A `gateway.event` message goes into the outboxes of the gateways in the group as a frame,
        encoded once. Consumers get a turn while a channel is more than half full, so that a burst
        alone does not fill it.
        """
        frame = self._checked(group, message)
        places = [] if frame is None else await self._pace(Group(group), frame)
        parcel, here = self._to_group(group, message, frame, places)
        if await self.relay.carry(parcel, here):
            await asyncio.sleep(0)

    async def flush(self) -> None:
        """Forget every message and every group; gateways stay connected, in no room."""
        self._channels.flush()
        for group in self.registry.groups():
            for connection in self.registry.members(group):
                await self.leave(connection.id, group)

    async def close(self) -> None:
        """Stop the timer. The layer can still be used afterwards."""
        self._channels.stop()
        await self.relay.stop()

    # The same for code that is not async

    def send_now(self, channel: str, message: Message) -> None:
        """Do what `send` does."""
        frame = self._frame_of(message)
        connection = self.registry.of_channel(channel)
        if connection is None or frame is None:
            self._channels.send(channel, message)
        else:
            places = self._pace_now(One(connection.id), frame)
            self.registry.deliver(One(connection.id), frame, places=places)

    def group_send_now(self, group: str, message: Message) -> bool:
        """Do what `group_send` does; return whether some channel is more than half full."""
        frame = self._checked(group, message)
        places = [] if frame is None else self._pace_now(Group(group), frame)
        return bool(self.relay.carry_now(*self._to_group(group, message, frame, places)))

    # Gateways

    def pump(self) -> Pump:
        """Return the lane for outboxes of the running event loop."""
        loop = asyncio.get_running_loop()
        pump = self._pumps.get(loop)
        if pump is None:
            pump = self._pumps[loop] = Pump(loop)
        return pump

    def connect(
        self,
        channel: str,
        outbox: Outbox,
        about: About = NOBODY,
        greet: Callable[[int], Frame] | None = None,
    ) -> int:
        """Register a gateway's connection, and return its id; its groups are rooms from then on.

        `about` is who that is, for the log; `greet` makes its first frame, from the id.
        """
        connection = self.registry.add(outbox, channel, about, greet)
        for group in self._channels.groups_of(channel):
            self._channels.leave(group, channel)
            self.registry.join(connection.id, group)
        return connection.id

    def disconnect(self, channel: str) -> None:
        """Remove a gateway's connection and forget its channel. Idempotent."""
        connection = self.registry.of_channel(channel)
        if connection is not None:
            self.registry.remove(connection.id)
        self._channels.forget(channel)

    def spread(self) -> int:
        """Return over how many milliseconds the clients should come back, if all had to go."""
        number = max(self.leaving, len(self.registry))
        return round(1000 * number / get_settings().RECONNECT_RATE)

    async def join(self, id: int, group: str, first: Frame | None = None) -> bool:
        """Put a gateway's connection into a group; return whether that changed anything.

        `first` is a frame that it gets before any of the group.
        """
        await self.relay.follow(group)
        try:
            places = [] if first is None else await self.registry.pacer.wait(One(id), first.size)
            # No await between these lines: nothing of the group may come between.
            if first is not None:
                self.registry.deliver(One(id), first, places=places)
            return self.registry.join(id, group)
        finally:
            self.relay.unfollow(group)

    async def join_all(self, id: int, groups: Collection[str]) -> None:
        """Put a gateway's connection into groups, of which all are heard when this returns."""
        await self.relay.follow(*groups)
        try:
            for group in groups:
                self.registry.join(id, group)
        finally:
            self.relay.unfollow(*groups)

    async def leave(self, id: int, group: str, last: Frame | None = None) -> bool:
        """Take a gateway's connection out of a group; return whether that changed anything.

        `last` is a frame that it gets after all of the group.
        """
        has_left = self.registry.leave(id, group)
        if last is not None:
            await self.send_frame(id, last)
        return has_left

    async def send_frame(self, id: int, frame: Frame) -> None:
        """Put a frame into one gateway's outbox, once more can be sent."""
        if self.registry.deliver_at_once(id, frame):
            return
        places = await self.registry.pacer.wait(One(id), frame.size or 1)
        self.registry.deliver(One(id), frame, places=places)

    async def publish(self, group: str | None, frame: Frame, *, exclude: int | None = None) -> None:
        """Put a frame into the outboxes of the gateways in `group`, or of all for None.

        `exclude` is the id of a connection to leave out. Waits until more can be sent.
        """
        places = await self._pace(_audience(group), frame)
        await self.relay.carry(*self._to_gateways(group, frame, exclude, places))

    def publish_now(self, group: str | None, frame: Frame, *, exclude: int | None = None) -> None:
        """Do what `publish` does, in code that is not async."""
        places = self._pace_now(_audience(group), frame)
        self.relay.carry_now(*self._to_gateways(group, frame, exclude, places))

    def close_group_now(self, group: str, code: int, reason: str = "") -> int:
        """Close the socket of every gateway in `group` with `code`, in all processes.

        Returns how many were asked in this one. They are out of the registry and of every group, so
        nothing more reaches them; what they were sent before gets the usual grace. Plain channels
        in the group are left alone. Never waits for a client.

        Where the others cannot be told, raises what the relay does, when it is done here.
        """
        count = self._delivery.close(group, code, reason)
        self.relay.carry_now(Parcel(Kind.CLOSE, EVERYONE, [group, code, reason]), None)
        return count

    async def close_group(self, group: str, code: int, reason: str = "") -> int:
        """Do what `close_group_now` does, in async code."""
        count = self._delivery.close(group, code, reason)
        await self.relay.carry(Parcel(Kind.CLOSE, EVERYONE, [group, code, reason]), None)
        return count

    def close_one_now(self, id: str, code: int, reason: str = "") -> bool:
        """Close the socket of the client whose welcome has this id; return whether it was there.

        In whatever process. In a thread.
        """
        node, _, number = id.partition("-")
        if not number.isdecimal():
            return False
        return self._close_one(node, int(number[:18]), code, reason)

    def tell_all(self, topic: str, what: Any) -> None:
        """Tell the listeners in the other processes what is new about a topic; see `news`."""
        self.relay.carry_now(Parcel(Kind.NEWS, EVERYONE, [topic, what]), None)

    def wait(self, channel: str) -> Waiter:
        """Return a future of the running loop, which is given the next message on a channel.

        It gives a function that returns the message, or None when it is to be asked for again; a
        future that is not used is given back by `stop_waiting`.
        """
        return self._channels.wait(channel)

    def stop_waiting(self, channel: str, waiter: Waiter) -> None:
        """Take back what `wait` returned, and keep what it was given."""
        self._channels.stop_waiting(channel, waiter)

    async def group_size(self, group: str) -> int:
        """Return how many gateways are in a group."""
        return len(self.registry.members(group))

    async def connection_count(self) -> int:
        """Return how many gateways are connected."""
        return len(self.registry)

    # Counts, tests and debugging

    def problems(self) -> Iterator[tuple[str, str]]:
        """Yield what keeps clients from being served well here: what it is, and why."""
        overdue = self.registry.overdue()
        if overdue >= STALLED:
            yield "stalled", f"an event loop with connections is late by {overdue:.0f} s"
        problem = self.relay.problem()
        if problem is not None:
            yield "relay", problem

    @property
    def counts(self) -> Mapping[str, int]:
        """How often what should not happen did."""
        return {**self._channels.counts, "handler_errors": self.handler_errors}

    @property
    def channels(self) -> ChannelsView:
        """The channels that have a message, a receiver or a group, with their waiting messages.

        Deleting one loses its messages and groups, but for a receiver that is there already.
        """
        return ChannelsView(self._channels)

    @property
    def groups(self) -> GroupsView:
        """The groups, with the names of the channels in them and when they joined."""
        return GroupsView(self._channels, self.registry)

    # Inside

    async def _pace(self, audience: Audience, frame: Frame) -> list[Lane]:
        places = await self.registry.pacer.wait(audience, frame.size or 1)
        return self._kept(places, frame)

    def _pace_now(self, audience: Audience, frame: Frame) -> list[Lane]:
        return self._kept(self.registry.pacer.wait_in_thread(audience, frame.size or 1), frame)

    def _kept(self, places: list[Lane], frame: Frame) -> list[Lane]:
        """Return the places that are kept until the frame is delivered.

        By a relay, it comes back into the loop that delivers it, where none is needed; nor may they
        be kept for as long as that may take.
        """
        if places and self.reaches_others:
            release(places, frame.size or 1)
            return []
        return places

    def _new_channel(self, prefix: str) -> str:
        return f"{prefix}{self.node}!{secrets.token_urlsafe(12)}"

    def _capacity_of(self, channel: str) -> int:
        self.require_valid_channel_name(channel)
        capacity: int = self.get_capacity(channel)
        return capacity

    def _checked(self, group: str, message: Message) -> Frame | None:
        """Return the frame that a message for a group stands for, if it does."""
        self.require_valid_group_name(group)
        return self._frame_of(message)

    def _frame_of(self, message: Message) -> Frame | None:
        """Return the frame that a message stands for, if it does; any other is checked."""
        require_dict(message)
        frame = frame_of(message)
        if frame is None:
            self._check(message)
        return frame

    def _check(self, message: Message) -> None:
        """Raise `TypeError` for a message that this layer is not to carry."""

    def _to_gateways(
        self, group: str | None, frame: Frame, exclude: int | None, places: list[Lane]
    ) -> tuple[Parcel, Callable[[], None]]:
        """Return what is sent to the gateways in a group, or to all, and the local half of it."""
        audience = _audience(group)
        here = partial(self._delivery.frame, audience, frame, exclude, places)
        return Parcel(Kind.FRAME, audience, frame), here

    def _to_group(
        self, group: str, message: Message, frame: Frame | None, places: list[Lane]
    ) -> tuple[Parcel, Callable[[], bool]]:
        """Return what is sent to all channels in a group, and the local half of it."""
        if frame is None:
            here = partial(self._delivery.message, group, message)
            return Parcel(Kind.MESSAGE, Group(group), message), here
        here = partial(self._delivery.event, group, frame, message, places)
        return Parcel(Kind.EVENT, Group(group), frame), here

    def _close_one(self, node: str, number: int, code: int, reason: str) -> bool:
        return node == self.node and self.registry.close(One(number), code, reason) > 0

    def _on_evicted(self, channel: str) -> None:
        connection = self.registry.of_channel(channel)
        if connection is None:
            self.registry.count_eviction(f"Channel {channel}")
        else:
            self.registry.evict(connection.id)


def _audience(group: str | None) -> Everyone | Group:
    return EVERYONE if group is None else Group(group)


def require_dict(message: object) -> None:
    """Raise `TypeError` for a message that is none."""
    if not isinstance(message, dict):
        raise TypeError(f"a message is a dict, not {type(message).__name__}")
