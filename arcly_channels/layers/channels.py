"""The channels of a process: their mailboxes and groups, what expires, and what is full."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from asyncio import Future, _get_running_loop
from collections.abc import Callable, Iterable

from channels.exceptions import ChannelFull

from arcly_channels.fanout.groups import Groups
from arcly_channels.fanout.schedule import MIN_INTERVAL, Schedule, Sweeper
from arcly_channels.layers.directory import Directory
from arcly_channels.layers.mailbox import Mailbox, Put, SharedMailbox
from arcly_channels.layers.message import Copier, Message, copier
from arcly_channels.layers.stall import LOOK
from arcly_channels.layers.waiter import Waiter

OVERFLOWS = ("evict", "drop_newest", "drop_oldest")


class Channels:
    """Channels and groups as Channels knows them, for use from any thread and event loop.

    `capacity_of` is asked when a channel gets a mailbox, and raises for a name that is not valid.
    `on_evicted` is called with the name of an evicted channel, when it is out of all groups, and
    `on_emptied` with a group whose last channel has left it. With `pass_on`, a channel that workers
    share gets nothing here as a member of a group: `pass_on` is called with it. No operation looks
    at all channels or all groups, except `flush` and those for debugging.
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
        on_emptied: Callable[[str], None],
        pass_on: Callable[[str, Copier], None] | None = None,
    ) -> None:
        self.counts = {"dropped_full": 0, "dropped_expired": 0, "dropped_gone": 0}
        """How many messages reached no consumer, and why: it was full, too late, or gone."""
        self.expiry = expiry
        self._capacity_of = capacity_of
        self._overflow = overflow
        self._on_evicted = on_evicted
        self._pass_on = pass_on
        self._directory = Directory(self._new_mailbox)
        self._groups: Groups[Mailbox] = Groups(shards, on_emptied)
        self._expiring: Schedule[Mailbox] = Schedule(expiry)
        self._leaving: Schedule[tuple[str, Mailbox]] = Schedule(group_expiry)
        self._full: Schedule[Mailbox] = Schedule(LOOK)
        self._sweeper = Sweeper(self._sweep)
        self._lock = threading.Lock()  # Guards the counts.

    # Messages

    def send(self, channel: str, message: Message) -> None:
        """Put a message on a channel; raise `ChannelFull` when its capacity is reached."""
        self._sweeper.run_due(overdue=MIN_INTERVAL)  # As late as the timer would.
        if self._put_on(channel, copier(message), time.monotonic(), is_sent=True) is Put.FULL:
            raise ChannelFull(channel)

    def send_to_group(self, group: str, others: Iterable[str], message: Message) -> bool:
        """Put a message on every channel in `group` and on the channels `others`.

        What does not fit is dropped and counted. Returns whether some channel is more than half
        full, so that its consumer should get a turn before the next message.
        """
        self._sweeper.run_due()
        copy, now, loop, taken = copier(message), time.monotonic(), _get_running_loop(), Put.TAKEN
        found = [
            put
            for _, mailboxes in self._groups.snapshot(group)
            for mailbox in mailboxes
            if (put := mailbox.put(copy, now, loop)) is not taken
        ]
        found += [self._put_on(channel, copy, now) for channel in others]
        if found:
            self._count_lost(found)
        return Put.CROWDED in found or Put.FULL in found

    async def receive(self, channel: str) -> Message:
        """Return the oldest message on a channel, once there is one."""
        mailbox = self._directory.find(channel) or self._directory.open(channel)
        while True:
            message = mailbox.take_or_wait()
            if isinstance(message, Future):
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
            mailbox = self._directory.open(channel)  # It may have a new one.

    def wait(self, channel: str) -> Waiter:
        """Return a future of the running loop, which is given the next message on a channel.

        It gives a function that returns the message, or None when it is to be asked for again; a
        future that is not used is given back by `stop_waiting`.
        """
        message = self._directory.open(channel).take_or_wait()
        if isinstance(message, Future):
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
            self._forget(mailbox)

    def stop(self) -> None:
        """Stop the timer that looks for what has expired; the next message starts it again."""
        self._sweeper.stop()

    def schedule(self, mailbox: Mailbox, now: float) -> None:
        """See `mailbox.Keeper`."""
        self._sweeper.expect(self._expiring.set(mailbox, now))

    def watch(self, mailbox: Mailbox, now: float) -> None:
        """See `mailbox.Keeper`."""
        self._sweeper.expect(self._full.set(mailbox, now))

    def count(self, what: str, number: int) -> None:
        """See `mailbox.Keeper`."""
        with self._lock:
            self.counts[f"dropped_{what}"] += number

    def put_back(self, channel: str, message: Copier) -> None:
        """See `mailbox.Keeper`."""
        while not self._directory.open(channel).put_back(message):
            pass  # The channel has a new mailbox.

    def names(self) -> list[str]:
        """Return the channels. For tests and debugging.

        A channel whose messages have all expired is there until the timer would have swept it.
        """
        self._sweep(time.monotonic() - MIN_INTERVAL)
        return [mailbox.name for mailbox in self._directory.all()]

    def waiting_on(self, channel: str) -> tuple[Message, ...] | None:
        """Return what waits unexpired on a channel; None if there is no such channel."""
        now = time.monotonic()
        self._sweep(now - MIN_INTERVAL)
        mailbox = self._directory.find(channel)
        return None if mailbox is None else mailbox.unexpired(now)

    def has_group(self, group: str) -> bool:
        """Return whether some channel is in a group."""
        return group in self._groups

    def has_groups(self) -> bool:
        """Return whether some channel is in any group."""
        return bool(self._groups)

    def groups(self) -> list[str]:
        """Return the groups that have a member. For tests and debugging."""
        self._end_memberships(time.monotonic())
        return self._groups.names()

    def members(self, group: str) -> dict[str, float]:
        """Return the channels in a group, with the time at which each joined it."""
        self._end_memberships(time.monotonic())
        members = self._groups.members(group)
        return {mailbox.name: mailbox.groups.get(group, 0.0) for mailbox in members}

    # Inside

    def _new_mailbox(self, channel: str) -> Mailbox:
        capacity = self._capacity_of(channel)
        if self._pass_on is None or "!" in channel:
            return Mailbox(channel, capacity, self, self._overflow)
        return SharedMailbox(channel, capacity, self, self._overflow, pass_on=self._pass_on)

    def _put_on(self, channel: str, copy: Copier, now: float, *, is_sent: bool = False) -> Put:
        while True:
            put = self._directory.open(channel).put(copy, now, _get_running_loop(), is_sent)
            if put is not Put.CLOSED:  # Else the channel has a new mailbox.
                return put

    def _count_lost(self, puts: list[Put]) -> None:
        for put, what in ((Put.FULL, "full"), (Put.CLOSED, "gone")):
            if put in puts:
                self.count(what, puts.count(put))

    def _stop_waiting(self, mailbox: Mailbox, waiter: Waiter) -> None:
        mailbox.stop_waiting(waiter)
        self._forget_if_idle(mailbox)

    def _look_at_full(self, mailbox: Mailbox, now: float) -> None:
        """Evict a channel that is stalled, but count against it only what its loop could use.

        Its loop says so by running a call, and gets the next only then: one that is blocked for a
        minute is one look.
        """
        loop = mailbox.loop()
        if loop is None:
            self._judge(mailbox, now)
            return
        try:
            loop.call_soon_threadsafe(self._judge, mailbox, None, LOOK)
        except RuntimeError:
            if not loop.is_closed():
                raise
            self._judge(mailbox, now)

    def _judge(self, mailbox: Mailbox, now: float | None, at_most: float = math.inf) -> None:
        now = time.monotonic() if now is None else now
        is_stalled = mailbox.is_stalled(now, at_most)
        if is_stalled:
            self._evict(mailbox, now)
        elif is_stalled is not None:
            self.watch(mailbox, now)

    def _evict(self, mailbox: Mailbox, now: float) -> None:
        groups = mailbox.evict(now)
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
            mailbox.groups[group] = time.time()
            self._groups.add(group, mailbox)
            deadline = self._leaving.set((group, mailbox), time.monotonic())
        self._sweeper.expect(deadline)
        return True

    def _leave(self, group: str, mailbox: Mailbox) -> None:
        with mailbox.lock:
            mailbox.groups.pop(group, None)
            self._groups.discard(group, mailbox)
            self._leaving.discard((group, mailbox))
        self._forget_if_idle(mailbox)

    def _forget(self, mailbox: Mailbox) -> None:
        for group in self._directory.forget(mailbox):
            self._leave(group, mailbox)
        self._unschedule(mailbox)

    def _forget_if_idle(self, mailbox: Mailbox) -> None:
        if self._directory.forget_if_idle(mailbox) and mailbox.is_scheduled:
            self._unschedule(mailbox)

    def _unschedule(self, mailbox: Mailbox) -> None:
        self._expiring.discard(mailbox)
        self._full.discard(mailbox)

    def _sweep(self, now: float) -> float:
        """Drop what is due to be dropped; return when the next is."""
        for mailbox in self._expiring.pop_due(now):
            mailbox.is_scheduled = False  # Before looking, so that no message is overlooked.
            is_abandoned = mailbox.is_abandoned(now)
            mailbox.drop_expired(now)
            if is_abandoned:
                self._forget(mailbox)
            elif mailbox.is_empty:
                self._forget_if_idle(mailbox)
            else:
                mailbox.is_scheduled = True
                self._expiring.set(mailbox, now)
        self._end_memberships(now)
        for mailbox in self._full.pop_due(now):
            self._look_at_full(mailbox, now)
        schedules = (self._expiring, self._leaving, self._full)
        return min(schedule.next_deadline() for schedule in schedules)

    def _end_memberships(self, now: float) -> None:
        for group, mailbox in self._leaving.pop_due(now):
            self._leave(group, mailbox)
