"""What every layer of ours is: Channels' interface, the gateways, and the seam to other processes.

Each public way to send is the same three steps: wait for who is behind, tell the relay, do the
local half. What the relay brings from elsewhere runs the local half only.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any, ClassVar
from weakref import WeakValueDictionary

from asgiref.sync import markcoroutinefunction
from channels.layers import BaseChannelLayer

from arcly_channels.close_codes import label
from arcly_channels.conf.settings import get_settings
from arcly_channels.fanout.audience import EVERYONE, Audience, Group, One
from arcly_channels.fanout.lanes import Lane
from arcly_channels.fanout.outbox import Outbox
from arcly_channels.fanout.pacing import release
from arcly_channels.fanout.pulse import STALLED
from arcly_channels.fanout.pump import Pump
from arcly_channels.fanout.rows import NOBODY, About
from arcly_channels.layers.channels import Channels
from arcly_channels.layers.closings import Closings
from arcly_channels.layers.message import Message
from arcly_channels.layers.relay import Kind, Parcel, Relay
from arcly_channels.layers.views import ChannelsView, GroupsView
from arcly_channels.layers.waiter import Waiter
from arcly_channels.reasons import Limit
from arcly_channels.registry import ConnectionRegistry
from arcly_channels.wire.envelope import Frame
from arcly_channels.wire.events import frame_of
from arcly_channels.wire.protocol import V1


class GatewayLayer(BaseChannelLayer):
    """A channel layer that gateways can be in. Use a subclass: `LocalChannelLayer`.

    Every method may be called from any thread or event loop. Those whose names end in `_now` do not
    wait in a running event loop; a plain thread waits in them as the others do.
    """

    extensions: ClassVar[list[str]] = ["groups", "flush"]

    registry: ConnectionRegistry
    _channels: Channels
    _relay = Relay()

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # A pump lives for as long as it has connections.
        self._pumps: WeakValueDictionary[asyncio.AbstractEventLoop, Pump] = WeakValueDictionary()
        self.closings = Closings()
        """What was closed here a moment ago, for clients that were still on their way in."""
        self.v1 = V1(self.spread)
        """The dialect of clients that speak `arcly.v1`."""
        self.node = secrets.token_hex(4)
        """What tells this layer from those of other processes."""
        self.leaving = 0
        """How many connections there were when the server began to end, while it does."""
        self._handler_errors = 0
        self.disconnects: Counter[str] = Counter()
        """How many connections of gateways have ended, by reason."""
        self.closes: Counter[str] = Counter()
        """How many connections of gateways have ended, by close code."""
        self.limits: Counter[str] = Counter()
        """How often a client went beyond a limit, by which."""
        self._lock = threading.Lock()  # Guards the numbers.

    # The Channels specification

    async def send(self, channel: str, message: Message) -> None:
        """Put a message on a channel; raise `ChannelFull` when its capacity is reached.

        A `gateway.event` message to a gateway goes into its outbox as a frame.
        """
        _require_dict(message)
        connection = self.registry.of_channel(channel)
        frame = frame_of(message)
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
        if connection is None:
            self._channels.join(group, channel)
        else:
            await self.join(connection.id, group)

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
        if self._send_to_group(group, message, frame, places):
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
        await self._relay.stop()

    # The same for code that is not async

    def send_now(self, channel: str, message: Message) -> None:
        """Do what `send` does."""
        _require_dict(message)
        connection = self.registry.of_channel(channel)
        frame = frame_of(message)
        if connection is None or frame is None:
            self._channels.send(channel, message)
        else:
            places = self._pace_now(One(connection.id), frame)
            self.registry.deliver(One(connection.id), frame, places=places)

    def group_send_now(self, group: str, message: Message) -> bool:
        """Do what `group_send` does; return whether some channel is more than half full."""
        frame = self._checked(group, message)
        places = [] if frame is None else self._pace_now(Group(group), frame)
        return self._send_to_group(group, message, frame, places)

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
        await self._relay.follow(group)
        places = [] if first is None else await self.registry.pacer.wait(One(id), first.size)
        # No await between these lines: nothing of the group may come between.
        if first is not None:
            self.registry.deliver(One(id), first, places=places)
        return self.registry.join(id, group)

    async def leave(self, id: int, group: str, last: Frame | None = None) -> bool:
        """Take a gateway's connection out of a group; return whether that changed anything.

        `last` is a frame that it gets after all of the group.
        """
        has_left = self.registry.leave(id, group)
        if last is not None:
            await self.send_frame(id, last)
        await self._relay.unfollow(group)
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
        audience = _audience(group)
        places = await self._pace(audience, frame)
        self._post(group, frame, places)
        self.registry.deliver(audience, frame, exclude=exclude, places=places)

    def publish_now(self, group: str | None, frame: Frame, *, exclude: int | None = None) -> None:
        """Do what `publish` does, in code that is not async."""
        audience = _audience(group)
        places = self._pace_now(audience, frame)
        self._post(group, frame, places)
        self.registry.deliver(audience, frame, exclude=exclude, places=places)

    def close_group_now(self, group: str, code: int, reason: str = "") -> int:
        """Close the socket of every gateway in `group` with `code`; return how many were asked.

        They are out of the registry and of every group, so nothing more reaches them; what they
        were sent before gets the usual grace. Plain channels in the group are left alone. Never
        waits for anybody.
        """
        self._relay.post(Kind.CLOSE, group, (code, reason))
        return self._close(group, code, reason)

    async def close_group(self, group: str, code: int, reason: str = "") -> int:
        """Do what `close_group_now` does, in async code."""
        return self.close_group_now(group, code, reason)

    def wait(self, channel: str) -> Waiter:
        """Return a future of the running loop, which is given the next message on a channel.

        It gives a function that returns the message, or None when it is to be asked for again; a
        future that is not used is given back by `stop_waiting`.
        """
        return self._channels.wait(channel)

    def stop_waiting(self, channel: str, waiter: Waiter) -> None:
        """Take back what `wait` returned, and keep what it was given."""
        self._channels.stop_waiting(channel, waiter)

    # Other processes

    def on_parcel(self, parcel: Parcel) -> None:
        """Do the local half of what another process was asked for. In an event loop."""
        kind, address, body = parcel
        if kind is Kind.FRAME:
            self.registry.deliver(_audience(address), body)
        elif address is not None and kind is Kind.MESSAGE:
            self._deliver_message(address, body)
        elif address is not None and kind is Kind.CLOSE:
            self._close(address, *body)

    # Counts, tests and debugging

    def problems(self) -> Iterator[tuple[str, str]]:
        """Yield what keeps clients from being served well here: what it is, and why."""
        overdue = self.registry.overdue()
        if overdue >= STALLED:
            yield "stalled", f"an event loop with connections is late by {overdue:.0f} s"
        problem = self._relay.problem()
        if problem is not None:
            yield "relay", problem

    def count_handler_error(self) -> None:
        """Count an event whose handler failed."""
        with self._lock:
            self._handler_errors += 1

    def count_disconnect(self, reason: str, code: int) -> None:
        """Count the end of a gateway's connection."""
        with self._lock:
            self.disconnects[reason] += 1
            self.closes[label(code)] += 1

    def count_limit(self, limit: Limit) -> None:
        """Count that a client went beyond a limit."""
        with self._lock:
            self.limits[limit.value] += 1

    @property
    def counts(self) -> Mapping[str, int]:
        """How often what should not happen did."""
        return {**self._channels.counts, "handler_errors": self._handler_errors}

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
        await self._relay.pace()
        return await self.registry.pacer.wait(audience, frame.size or 1)

    def _pace_now(self, audience: Audience, frame: Frame) -> list[Lane]:
        return self.registry.pacer.wait_in_thread(audience, frame.size or 1)

    def _post(self, group: str | None, frame: Frame, places: list[Lane]) -> None:
        """Tell the relay of a frame; if it raises, give back what the pacer has kept for it."""
        try:
            self._relay.post(Kind.FRAME, group, frame)
        except BaseException:
            release(places, frame.size or 1)
            raise

    def _checked(self, group: str, message: Message) -> Frame | None:
        """Return the frame that a message for a group stands for, if it does."""
        _require_dict(message)
        self.require_valid_group_name(group)
        return frame_of(message)

    def _send_to_group(
        self, group: str, message: Message, frame: Frame | None, places: list[Lane]
    ) -> bool:
        if frame is not None:
            self._post(group, frame, places)
            self.registry.deliver(Group(group), frame, places=places)
            return self._channels.send_to_group(group, (), message)
        self._relay.post(Kind.MESSAGE, group, message)
        return self._deliver_message(group, message)

    def _deliver_message(self, group: str, message: Message) -> bool:
        gateways = [connection.channel for connection in self.registry.members(group)]
        return self._channels.send_to_group(group, filter(None, gateways), message)

    def _close(self, group: str, code: int, reason: str) -> int:
        self.closings.note(group, code, reason)  # First: whoever joins from here on finds it.
        return self.registry.close(Group(group), code, reason)

    def _on_evicted(self, channel: str) -> None:
        connection = self.registry.of_channel(channel)
        if connection is None:
            self.registry.count_eviction(f"Channel {channel}")
        else:
            self.registry.evict(connection.id)


def _audience(group: str | None) -> Audience:
    return EVERYONE if group is None else Group(group)


def _require_dict(message: object) -> None:
    if not isinstance(message, dict):
        raise TypeError(f"a message is a dict, not {type(message).__name__}")
