"""The channel layer of one process: Channels' messages and groups, and the gateways' registry."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import threading
import time
from collections.abc import Mapping
from typing import Any
from weakref import WeakValueDictionary

from channels.exceptions import ChannelFull
from channels.layers import BaseChannelLayer

from arcly_channels.envelope import Frame
from arcly_channels.layers.directory import Directory
from arcly_channels.layers.event import frame_of
from arcly_channels.layers.mailbox import Copier, Mailbox, Put
from arcly_channels.layers.message import Message, copier
from arcly_channels.layers.schedule import Schedule, Sweeper
from arcly_channels.layers.views import LiveView
from arcly_channels.membership import Membership
from arcly_channels.outbox import Outbox
from arcly_channels.pump import Pump
from arcly_channels.registry import Claims, ConnectionRegistry

OVERFLOWS = ("evict", "drop_newest", "drop_oldest")


class LocalChannelLayer(BaseChannelLayer):  # type: ignore[misc]  # Channels has no type hints.
    """A complete channel layer within one process, with the `groups` and `flush` extensions.

    `expiry`, `group_expiry` (seconds), `capacity` and `channel_capacity` mean what the Channels
    documentation says. `overflow` says what happens when a group message meets a full channel of
    one consumer (with a `!` in its name): `evict` takes the channel out of all groups and, after
    its backlog, sends it one `{"type": "gateway.evicted"}`; `drop_newest` and `drop_oldest` drop a
    message and count it. On other channels the new message is dropped and counted. `shards` is how
    many locks the registry is split over.

    Every method may be called from any thread or event loop, and wakes receivers in theirs.

    Spec deviation: an expired message is dropped, and does not cost its channel the groups; nor
    does `group_expiry` end the membership of a gateway, which lasts as long as its connection.
    """

    extensions = ("groups", "flush")

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
        super().__init__(expiry=expiry, capacity=capacity)
        if overflow not in OVERFLOWS:
            raise ValueError(f"overflow is one of {', '.join(OVERFLOWS)}, not {overflow!r}")
        self.channel_capacity = self.compile_capacities(channel_capacity or {})
        self.group_expiry = group_expiry
        self.overflow = overflow
        self.registry = ConnectionRegistry(shards=shards)
        self.counts = {"dropped_full": 0, "dropped_expired": 0, "handler_errors": 0}
        """How often what should not happen did."""
        self._directory = Directory(self.registry.shards, self.get_capacity)
        self._groups: Membership[Mailbox] = Membership(self.registry.shards)
        self._gateways: dict[int, Mailbox] = {}
        # A pump lives for as long as it has connections.
        self._pumps: WeakValueDictionary[asyncio.AbstractEventLoop, Pump] = WeakValueDictionary()
        self._sweeper = Sweeper(self._sweep)
        self._expiring: Schedule[Mailbox] = Schedule(expiry)
        self._leaving: Schedule[tuple[str, Mailbox]] = Schedule(group_expiry)
        self._prefix = secrets.token_hex(6)
        self._serial = itertools.count(1).__next__
        self._lock = threading.Lock()  # Guards the serial and the counts.

    # The Channels specification

    async def new_channel(self, prefix: str = "specific.") -> str:
        """Return a channel name that nobody else has, for a consumer of this process."""
        with self._lock:
            return f"{prefix}{self._prefix}!{self._serial()}"

    async def send(self, channel: str, message: Message) -> None:
        """Put a message on a channel; raise `ChannelFull` when its capacity is reached.

        A `gateway.event` message to a gateway goes into its outbox as a frame.
        """
        self.send_now(channel, message)
        await self.registry.settle()

    async def receive(self, channel: str) -> Message:
        """Return the oldest message on a channel, once there is one.

        Of several receivers each gets its own messages, whatever loops they are in. One that is
        cancelled takes no message with it.
        """
        self.require_valid_channel_name(channel)
        self._sweeper.run_due()
        while (message := self.take(channel)) is None:
            waiter = self.wait(channel)
            if waiter is not None:
                try:
                    await waiter
                except BaseException:
                    self.stop_waiting(channel, waiter)
                    raise
        return message

    def take(self, channel: str) -> Message | None:
        """Return the oldest message on a channel if there is one, without waiting."""
        mailbox = self._directory.find(channel)
        if mailbox is None:
            return None
        message, expired = mailbox.take(time.monotonic())
        if expired:
            self.count("dropped_expired", expired)
        self._forget_if_idle(mailbox)
        return message

    def wait(self, channel: str) -> asyncio.Future[None] | None:
        """Return a future of the running loop that the next message on a channel resolves.

        Returns None when `take` should be tried first. Cancel it by `stop_waiting`.
        """
        return self._directory.open(channel).wait()

    def stop_waiting(self, channel: str, waiter: asyncio.Future[None]) -> None:
        """Take back what `wait` returned; another receiver gets what it was woken for."""
        mailbox = self._directory.open(channel)
        mailbox.stop_waiting(waiter)
        self._forget_if_idle(mailbox)

    async def group_add(self, group: str, channel: str) -> None:
        """Add a channel to a group, or renew its membership; a gateway joins the room."""
        self.require_valid_group_name(group)
        self.require_valid_channel_name(channel)
        self._sweeper.run_due()
        while not self._join(group, self._directory.open(channel)):
            pass  # The mailbox was closed meanwhile; the channel has a new one.

    async def group_discard(self, group: str, channel: str) -> None:
        """Take a channel out of a group; one that is not in it is ignored."""
        self.require_valid_group_name(group)
        self.require_valid_channel_name(channel)
        mailbox = self._directory.find(channel)
        if mailbox is None:
            return
        if mailbox.connection_id is not None:
            self.registry.leave_room(mailbox.connection_id, group)
        self._leave(group, mailbox)

    async def group_send(self, group: str, message: Message) -> None:
        """Put a message on every channel of a group; a full one is dealt with as `overflow` says.

        A `gateway.event` message goes into the outboxes of the gateways in the group as a frame,
        encoded once, and this returns when more can be sent; see `ConnectionRegistry.settle`.
        """
        self.group_send_now(group, message)
        await self.registry.settle()

    async def flush(self) -> None:
        """Forget every message and every group. Connections stay, in no room but their lobby."""
        for mailbox in self._directory.all():
            if mailbox.connection_id is None:
                for group in self._directory.forget(mailbox):
                    self._groups.discard(group, mailbox)
            else:
                mailbox.clear()
        for room in self.registry.rooms():
            for id in self.registry.room_members(room):
                self.registry.leave_room(id, room)
        self._expiring.clear()
        self._leaving.clear()

    async def close(self) -> None:
        """Stop the timer. The layer can still be used afterwards."""
        self._sweeper.stop()

    # The same without waiting, for code that is not async

    def send_now(self, channel: str, message: Message) -> None:
        """Do what `send` does."""
        _require_dict(message)
        self.require_valid_channel_name(channel)
        self._sweeper.run_due()
        frame = frame_of(message)
        copy = copier(message)
        while True:
            mailbox = self._directory.open(channel)
            if frame is not None and mailbox.connection_id is not None:
                self.registry.send(mailbox.connection_id, frame)
                return
            put = self._put(mailbox, copy, time.monotonic())
            if put is Put.FULL:
                raise ChannelFull(channel)
            if put is Put.ADDED:
                return

    def group_send_now(self, group: str, message: Message) -> None:
        """Do what `group_send` does, but for the wait at its end."""
        _require_dict(message)
        self.require_valid_group_name(group)
        self._sweeper.run_due()
        frame = frame_of(message)
        if frame is not None:
            self.registry.broadcast_room(group, frame)
            mailboxes = list(self._groups.members(group))
        else:
            mailboxes = self._members(group)
        copy = copier(message)
        now = time.monotonic()
        full = [each for each in mailboxes if self._put(each, copy, now) is Put.FULL]
        for mailbox in full:
            self._overflow(mailbox, copy, now)

    # Gateways

    def pump(self) -> Pump:
        """Return the lane for outboxes of the running event loop."""
        loop = asyncio.get_running_loop()
        pump = self._pumps.get(loop)
        if pump is None:
            pump = self._pumps[loop] = Pump(loop)
        return pump

    def connect(self, channel: str, outbox: Outbox, claims: Claims | None = None) -> int:
        """Register the connection of a gateway, whose groups are its rooms from then on."""
        while True:
            mailbox = self._directory.open(channel)
            with mailbox.lock:
                if mailbox.is_closed:
                    continue
                id = mailbox.connection_id = self.registry.register(outbox, claims)
                self._gateways[id] = mailbox
                groups, mailbox.groups = mailbox.groups, set()
            for group in groups:
                self._leave(group, mailbox)
                self.registry.join_room(id, group)
            return id

    def disconnect(self, channel: str) -> None:
        """Remove a gateway's connection and forget its channel. Idempotent."""
        mailbox = self._directory.find(channel)
        if mailbox is None:
            return
        with mailbox.lock:
            id, mailbox.connection_id = mailbox.connection_id, None
        if id is not None:
            self.registry.unregister(id)
            self._gateways.pop(id, None)
        for group in self._directory.forget(mailbox):
            self._leave(group, mailbox)
        self._expiring.discard(mailbox)

    async def join(self, id: int, group: str) -> None:
        """Put a gateway's connection into a group; an unknown id is ignored."""
        self.registry.join_room(id, group)

    async def leave(self, id: int, group: str) -> None:
        """Take a gateway's connection out of a group; an unknown id is ignored."""
        self.registry.leave_room(id, group)

    async def send_frame(self, id: int, frame: Frame) -> None:
        """Put a frame into one gateway's outbox, and return when more can be sent."""
        self.registry.send(id, frame)
        await self.registry.settle()

    async def publish(self, group: str | None, frame: Frame, *, exclude: int | None = None) -> None:
        """Put a frame into the outboxes of the gateways in `group`, or of all for None.

        `exclude` is the id of a connection to leave out. Returns when more can be sent.
        """
        self.publish_now(group, frame, exclude=exclude)
        await self.registry.settle()

    def publish_now(self, group: str | None, frame: Frame, *, exclude: int | None = None) -> None:
        """Do what `publish` does, but for the wait at its end."""
        if group is None:
            self.registry.broadcast(frame, exclude=exclude)
        else:
            self.registry.broadcast_room(group, frame, exclude=exclude)

    def count(self, what: str, number: int = 1) -> None:
        """Add to one of `counts`."""
        with self._lock:
            self.counts[what] += number

    # For tests and debugging

    @property
    def channels(self) -> Mapping[str, tuple[Message, ...]]:
        """The channels that have a message, a receiver or a group, with their waiting messages."""
        return LiveView(self._channels)

    @property
    def groups(self) -> Mapping[str, frozenset[str]]:
        """The groups, with the names of the channels in them."""
        return LiveView(self._group_names)

    # Inside

    def _put(self, mailbox: Mailbox, copy: Copier, now: float) -> Put:
        put, dropped = mailbox.put(copy, now, self.expiry)
        if dropped:
            self.count("dropped_expired", dropped)
        if put is Put.ADDED and not mailbox.is_scheduled:
            mailbox.is_scheduled = True
            self._sweeper.expect(self._expiring.set(mailbox, now))
        return put

    def _overflow(self, mailbox: Mailbox, copy: Copier, now: float) -> None:
        """Deal with a group message that found `mailbox` full."""
        if self.overflow == "evict" and "!" in mailbox.name:
            self._evict(mailbox)
            return
        if self.overflow == "drop_oldest":
            mailbox.drop_oldest()
            self._put(mailbox, copy, now)
        self.count("dropped_full")

    def _evict(self, mailbox: Mailbox) -> None:
        groups = mailbox.evict()
        if groups is None:
            return
        for group in groups:
            self._leave(group, mailbox)
        if mailbox.connection_id is None:
            self.registry.count_eviction(f"Channel {mailbox.name}")
        else:
            self.registry.evict(mailbox.connection_id)

    def _join(self, group: str, mailbox: Mailbox) -> bool:
        """Add a mailbox to a group; return False when it is no longer its channel's."""
        with mailbox.lock:
            if mailbox.is_closed:
                return False
            if mailbox.is_evicted:
                return True  # It stays out of groups until it has seen that it was evicted.
            if mailbox.connection_id is not None:
                self.registry.join_room(mailbox.connection_id, group)
                return True
            mailbox.groups.add(group)
            self._groups.add(group, mailbox)
        self._sweeper.expect(self._leaving.set((group, mailbox), time.monotonic()))
        return True

    def _leave(self, group: str, mailbox: Mailbox) -> None:
        with mailbox.lock:
            mailbox.groups.discard(group)
            self._groups.discard(group, mailbox)
        self._leaving.discard((group, mailbox))
        self._forget_if_idle(mailbox)

    def _forget_if_idle(self, mailbox: Mailbox) -> None:
        if self._directory.forget_if_idle(mailbox) and mailbox.is_scheduled:
            self._expiring.discard(mailbox)

    def _sweep(self, now: float) -> float:
        for mailbox in self._expiring.pop_due(now):
            mailbox.is_scheduled = False  # Before looking, so that no message is overlooked.
            if dropped := mailbox.drop_expired(now):
                self.count("dropped_expired", dropped)
            if not mailbox.is_empty:
                mailbox.is_scheduled = True
                self._expiring.set(mailbox, now)
            else:
                self._forget_if_idle(mailbox)
        self._end_memberships(now)
        return min(self._expiring.next_deadline(), self._leaving.next_deadline())

    def _end_memberships(self, now: float) -> None:
        for group, mailbox in self._leaving.pop_due(now):
            self._leave(group, mailbox)

    def _channels(self) -> dict[str, tuple[Message, ...]]:
        now = time.monotonic()
        return {each.name: each.unexpired(now) for each in self._directory.all()}

    def _group_names(self) -> dict[str, frozenset[str]]:
        self._end_memberships(time.monotonic())
        names = {*self._groups.rooms(), *self.registry.rooms()}
        return {name: frozenset(each.name for each in self._members(name)) for name in names}

    def _members(self, group: str) -> list[Mailbox]:
        """Return the mailboxes of a group, those of gateways too."""
        gateways = map(self._gateways.get, self.registry.room_members(group))
        return [*self._groups.members(group), *filter(None, gateways)]


def _require_dict(message: object) -> None:
    if not isinstance(message, dict):
        raise TypeError(f"a message is a dict, not {type(message).__name__}")
