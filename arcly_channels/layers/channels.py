"""The channels of a process: their mailboxes and groups, what expires, and what is full."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterable

from channels.exceptions import ChannelFull

from arcly_channels.fanout.groups import Groups
from arcly_channels.fanout.schedule import MIN_INTERVAL, Schedule, Sweeper
from arcly_channels.layers.directory import Directory
from arcly_channels.layers.mailbox import Copier, Mailbox, Put, Waiter
from arcly_channels.layers.message import Message, copier

OVERFLOWS = ("evict", "drop_newest", "drop_oldest")


class Channels:
    """Channels and groups as Channels knows them, for use from any thread and event loop.

    `capacity_of` is asked when a channel gets a mailbox, and raises for a name that is not valid.
    `on_evicted` is called with the name of an evicted channel, when it is out of all groups. No
    operation looks at all channels or all groups, except `flush` and those for debugging.
    """

    def __init__(
        self,
        *,
        shards: int,
        expiry: float,
        group_expiry: float,
        capacity_of: Callable[[str], int],
        overflow: str,
        on_evicted: Callable[[str], None],
    ) -> None:
        self.counts = {"dropped_full": 0, "dropped_expired": 0}
        """How many messages reached no consumer."""
        self.expiry = expiry
        self._capacity_of = capacity_of
        self._overflow = overflow
        self._on_evicted = on_evicted
        self._directory = Directory(self._new_mailbox)
        self._groups: Groups[Mailbox] = Groups(shards)
        self._expiring: Schedule[Mailbox] = Schedule(expiry)
        self._leaving: Schedule[tuple[str, Mailbox]] = Schedule(group_expiry)
        self._sweeper = Sweeper(self._sweep)
        self._lock = threading.Lock()  # Guards the counts.

    # Messages

    def send(self, channel: str, message: Message) -> None:
        """Put a message on a channel; raise `ChannelFull` when its capacity is reached."""
        _, put = self._put_on(channel, copier(message), time.monotonic())
        if put is Put.FULL:
            raise ChannelFull(channel)

    def send_to_group(self, group: str, others: Iterable[str], message: Message) -> bool:
        """Put a message on every channel in `group` and on the channels `others`.

        A full one is dealt with after the sweep, as `overflow` says. Returns whether some channel
        is more than half full, so that its consumer should get a turn before the next message.
        """
        self._sweeper.run_due()
        copy, now = copier(message), time.monotonic()
        full, crowded = Put.FULL, Put.CROWDED
        found = [
            (mailbox, put)
            for _, mailboxes in self._groups.snapshot(group)
            for mailbox in mailboxes
            if (put := mailbox.put(copy, now)) is crowded or put is full
        ]
        found += [self._put_on(channel, copy, now) for channel in others]
        for mailbox, put in found:
            if put is full:
                self._deal_with_full(mailbox, copy, now)
        return any(put is full or put is crowded for _, put in found)

    async def receive(self, channel: str) -> Message:
        """Return the oldest message on a channel, once there is one."""
        while True:
            mailbox = self._directory.open(channel)
            message = mailbox.take_or_wait()
            if isinstance(message, asyncio.Future):
                waiter = message
                try:
                    message = await waiter
                except BaseException:
                    self._stop_waiting(mailbox, waiter)
                    raise
            else:
                self._sweeper.run_due()
            if not mailbox.groups:
                self._forget_if_idle(mailbox)
            if message is not None:
                return message()

    def wait(self, channel: str) -> Waiter:
        """Return a future of the running loop, which is given the next message on a channel.

        It gives a function that returns the message, or None when it is to be asked for again; a
        future that is not used is given back by `stop_waiting`.
        """
        message = self._directory.open(channel).take_or_wait()
        if isinstance(message, asyncio.Future):
            return message
        waiter: Waiter = asyncio.get_running_loop().create_future()
        waiter.set_result(message)
        return waiter

    def stop_waiting(self, channel: str, waiter: Waiter) -> None:
        """Take back what `wait` returned, and keep what it was given."""
        self._stop_waiting(self._directory.open(channel), waiter)

    # Groups

    def join(self, group: str, channel: str) -> None:
        """Add a channel to a group, or renew its membership.

        One that was evicted stays out until it has received that it was.
        """
        while not self._join(group, self._directory.open(channel)):
            pass  # The channel has a new mailbox.

    def leave(self, group: str, channel: str) -> None:
        """Take a channel out of a group; one that is not in it is ignored."""
        mailbox = self._directory.find(channel)
        if mailbox is not None:
            self._leave(group, mailbox)

    def groups_of(self, channel: str) -> frozenset[str]:
        """Return the groups that a channel is in."""
        mailbox = self._directory.find(channel)
        return frozenset() if mailbox is None else mailbox.copy_groups()

    # Upkeep

    def forget(self, channel: str) -> None:
        """Remove a channel with its messages and from its groups."""
        mailbox = self._directory.find(channel)
        if mailbox is not None:
            self._forget(mailbox)

    def flush(self) -> None:
        """Remove every message and every group; receivers go on waiting."""
        for mailbox in self._directory.all():
            mailbox.clear()
            self._forget(mailbox)

    def stop(self) -> None:
        """Stop the timer that looks for what has expired; the next message starts it again."""
        self._sweeper.stop()

    def schedule(self, mailbox: Mailbox, now: float) -> None:
        """See `mailbox.Keeper`."""
        self._sweeper.expect(self._expiring.set(mailbox, now))

    def count_expired(self, number: int) -> None:
        """See `mailbox.Keeper`."""
        self._count("dropped_expired", number)

    def put_back(self, channel: str, message: Copier) -> None:
        """See `mailbox.Keeper`."""
        while not self._directory.open(channel).put_back(message):
            pass  # The channel has a new mailbox.

    def messages(self) -> dict[str, tuple[Message, ...]]:
        """Return what waits unexpired, by channel. For tests and debugging.

        A channel whose messages have all expired is there until the timer would have swept it.
        """
        now = time.monotonic()
        self._sweep(now - MIN_INTERVAL)
        return {mailbox.name: mailbox.unexpired(now) for mailbox in self._directory.all()}

    def groups(self) -> dict[str, frozenset[str]]:
        """Return the channels in each group. For tests and debugging."""
        self._end_memberships(time.monotonic())
        return {
            group: frozenset(mailbox.name for mailbox in self._groups.members(group))
            for group in self._groups.names()
        }

    # Inside

    def _new_mailbox(self, channel: str) -> Mailbox:
        return Mailbox(channel, self._capacity_of(channel), self)

    def _put_on(self, channel: str, copy: Copier, now: float) -> tuple[Mailbox, Put]:
        while True:
            mailbox = self._directory.open(channel)
            put = mailbox.put(copy, now)
            if put is not Put.CLOSED:  # Else the channel has a new mailbox.
                return mailbox, put

    def _stop_waiting(self, mailbox: Mailbox, waiter: Waiter) -> None:
        mailbox.stop_waiting(waiter)
        self._forget_if_idle(mailbox)

    def _deal_with_full(self, mailbox: Mailbox, copy: Copier, now: float) -> None:
        if self._overflow == "evict" and "!" in mailbox.name:
            if mailbox.put(copy, now) is Put.FULL:  # Still, after the sweep.
                self._evict(mailbox)
            return
        if self._overflow == "drop_oldest":
            mailbox.drop_oldest()
            mailbox.put(copy, now)
        self._count("dropped_full", 1)

    def _evict(self, mailbox: Mailbox) -> None:
        groups = mailbox.evict()
        if groups is not None:
            for group in groups:
                self._leave(group, mailbox)
            self._on_evicted(mailbox.name)

    def _join(self, group: str, mailbox: Mailbox) -> bool:
        """Add a mailbox to a group; return False when it is no longer its channel's."""
        with mailbox.lock:
            if mailbox.is_closed:
                return False
            if mailbox.is_evicted:
                return True
            mailbox.groups.add(group)
            self._groups.add(group, mailbox)
            deadline = self._leaving.set((group, mailbox), time.monotonic())
        self._sweeper.expect(deadline)
        return True

    def _leave(self, group: str, mailbox: Mailbox) -> None:
        with mailbox.lock:
            mailbox.groups.discard(group)
            self._groups.discard(group, mailbox)
            self._leaving.discard((group, mailbox))
        self._forget_if_idle(mailbox)

    def _forget(self, mailbox: Mailbox) -> None:
        for group in self._directory.forget(mailbox):
            self._leave(group, mailbox)
        self._expiring.discard(mailbox)

    def _forget_if_idle(self, mailbox: Mailbox) -> None:
        if self._directory.forget_if_idle(mailbox) and mailbox.is_scheduled:
            self._expiring.discard(mailbox)

    def _sweep(self, now: float) -> float:
        """Drop what is due to be dropped; return when the next is."""
        for mailbox in self._expiring.pop_due(now):
            mailbox.is_scheduled = False  # Before looking, so that no message is overlooked.
            mailbox.drop_expired(now)
            if mailbox.is_empty:
                self._forget_if_idle(mailbox)
            else:
                mailbox.is_scheduled = True
                self._expiring.set(mailbox, now)
        self._end_memberships(now)
        return min(self._expiring.next_deadline(), self._leaving.next_deadline())

    def _end_memberships(self, now: float) -> None:
        for group, mailbox in self._leaving.pop_due(now):
            self._leave(group, mailbox)

    def _count(self, what: str, number: int) -> None:
        with self._lock:
            self.counts[what] += number
