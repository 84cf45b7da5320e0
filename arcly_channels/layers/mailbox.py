"""The bounded queue of one channel, and the receivers that wait for it, in whatever loop."""

from __future__ import annotations

import asyncio
import enum
import math
import threading
import time
from asyncio import Future
from collections import deque
from collections.abc import Callable
from typing import Any, NoReturn, Protocol
from weakref import ReferenceType, ref

from arcly_channels.exceptions import SlowConsumer
from arcly_channels.layers.message import Copier, Message
from arcly_channels.layers.stall import Stall
from arcly_channels.layers.waiter import Waiter, wake

BURST = 10
"""How many times its capacity a consumer's own channel takes of group messages.

A view may send a thousand before any consumer has a turn, and they are shared by all members, so
that an entry costs some 100 bytes. Beyond it a burst is more than anybody should have to remember.
"""
GONE = 60.0
"""Seconds without asking for a message after which a consumer that leaves some to expire is gone.

A consumer that died of an exception says so to nobody; this is when Channels' own layer notices.
"""


def _raise_evicted() -> NoReturn:
    raise SlowConsumer


EVICTED: Copier = _raise_evicted
"""What follows the backlog of a channel that was evicted: known by identity, and raises."""


class Put(enum.Enum):
    """What became of a message that was put into a mailbox."""

    TAKEN = enum.auto()
    """A receiver has it, or it waits for one."""
    CROWDED = enum.auto()
    """It waits, and half of the capacity is taken: others should have a turn."""
    FULL = enum.auto()
    CLOSED = enum.auto()
    """The mailbox is no longer the channel's: look for the new one and put it there."""


_TAKEN = Put.TAKEN

# A deque takes 600 bytes, and the mailbox of a gateway hardly ever gets a message.
_NONE_YET: deque[tuple[float, Copier]] = deque(maxlen=0)


class Keeper(Protocol):
    """Who looks after mailboxes. `put_back` is called without, the others with a mailbox's lock."""

    expiry: float
    """Seconds that a message is kept."""

    def schedule(self, mailbox: Mailbox, now: float) -> None:
        """Look for expired messages in `mailbox` in `expiry` seconds."""

    def watch(self, mailbox: Mailbox, now: float) -> None:
        """Ask `mailbox` from time to time whether it `is_stalled`, until it is not full."""

    def count(self, what: str, number: int) -> None:
        """Take note of messages that reach nobody: `full`, `expired` or `gone`."""

    def put_back(self, channel: str, message: Copier) -> None:
        """Have a message be the oldest of a channel whose mailbox was closed."""


class Mailbox:
    """What waits on one channel. May be used from any thread and any event loop.

    `send` may fill it up to `capacity`. Group messages may up to `bound`; beyond it the newest is
    refused, or the oldest dropped if it `drops_oldest`. `groups` are those the channel is in, with
    the time at which it joined, to be changed under `lock`.

    A message is handed to a receiver only in the receiver's own loop. From elsewhere it is queued,
    and a receiver is woken to take it: a receiver that gives up meanwhile would else give the
    message back too late, behind the next one.
    """

    __slots__ = (
        "_asked",
        "_loop",
        "_messages",
        "_stall",
        "_waiters",
        "bound",
        "capacity",
        "drops_oldest",
        "groups",
        "is_closed",
        "is_evicted",
        "is_scheduled",
        "keeper",
        "lock",
        "name",
    )

    lane = None  # Members of a group are kept by lane; a mailbox has none.

    def __init__(self, name: str, capacity: int, keeper: Keeper, overflow: str = "evict") -> None:
        self.name = name
        self.capacity = capacity
        self.bound = capacity * BURST if overflow == "evict" and self.is_own else capacity
        self.drops_oldest = overflow == "drop_oldest"
        self.keeper = keeper
        self.groups: dict[str, float] = {}
        self.is_evicted = False
        self.is_scheduled = False
        """Whether the keeper will look for expired messages here."""
        self.is_closed = False
        """Whether the mailbox is no longer the channel's."""
        self.lock = threading.Lock()
        self._messages = _NONE_YET
        self._waiters: list[Waiter] = []
        self._loop: ReferenceType[asyncio.AbstractEventLoop] | None = None
        self._asked = math.inf  # When a receiver was seen last; never, as long as it is infinite.
        self._stall: Stall | None = None  # There is one while the keeper watches.

    @property
    def is_own(self) -> bool:
        """Whether the channel is that of one consumer."""
        return "!" in self.name

    # Messages

    def put(
        self,
        message: Copier,
        now: float,
        loop: asyncio.AbstractEventLoop | None,
        is_sent: bool = False,
    ) -> Put:
        """Hand a message to a receiver that waits, or keep it until it expires.

        `loop` is the running event loop, if there is one.
        """
        with self.lock:
            if self._waiters and not self._messages:
                waiter = self._waiters[0]
                if waiter.get_loop() is loop:
                    del self._waiters[0]
                    try:  # Cheaper than to ask whether it is cancelled; see benchmarks/layer.py.
                        waiter.set_result(message)
                    except asyncio.InvalidStateError:
                        pass
                    else:
                        self._asked = now
                        return _TAKEN
            put = self._add(message, now, is_sent)
        if self._waiters:
            self._wake_next()
        return put

    def put_back(self, message: Copier) -> bool:
        """Keep a message whose receiver is gone as the oldest, for the next receiver.

        Returns False when the mailbox is no longer the channel's.
        """
        with self.lock:
            if self.is_closed:
                return False
            now = time.monotonic()
            self._keep(now).appendleft((now + self.keeper.expiry, message))
        self._wake_next()
        return True

    def take_or_wait(self) -> Copier | Waiter | None:
        """Remove the oldest message that has not expired and return it, to be called for a copy.

        Without one, return a future of the running loop, which is given the next message, or None
        when it is to be asked for; it is to be awaited, or given back by `stop_waiting`. Returns
        None when the mailbox is no longer the channel's, which has a new one.
        """
        waiter = None
        if not self._messages:
            waiter = self._add_waiter()
            # Who takes the lock from here on finds the waiter, and what others did before is seen
            # here. That is nothing most often, and the lock would be a tenth of a delivery.
            if not (self.lock.locked() or self._messages or self.is_evicted or self.is_closed):
                return waiter
        with self.lock:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            if (self._messages or self.is_evicted) and (message := self._take()) is not None:
                return message
            return None if self.is_closed else self._add_waiter()

    def stop_waiting(self, waiter: Waiter) -> None:
        """Take back a waiter whose receiver does not wait any more; keep what it was given."""
        with self.lock:
            self._asked = time.monotonic()
            if waiter in self._waiters:
                self._waiters.remove(waiter)
                return
        if waiter.done() and not waiter.cancelled() and (message := waiter.result()) is not None:
            if not self.put_back(message):
                self.keeper.put_back(self.name, message)
        else:
            self._wake_next()  # It was woken for a message, which is for another now.

    def drop_expired(self, now: float) -> None:
        """Drop the messages that have expired."""
        with self.lock:
            self._drop_expired(now)

    # Consumers that cannot keep up, or are gone

    def is_stalled(self, now: float, at_most: float = math.inf) -> bool | None:
        """Return whether nothing was taken for too long; None if it is not full any more.

        The time since the last look counts, but for no more than `at_most` seconds.
        """
        with self.lock:
            if self._stall is None or len(self._messages) < self.capacity or self.is_evicted:
                self._stall = None
                return None
            return self._stall.is_over(now, at_most)

    def evict(self, now: float) -> dict[str, float] | None:
        """Take no more; let the backlog be followed by `EVICTED`; return the groups it was in.

        Returns None when that was done before, or is needless as a receiver waits.
        """
        with self.lock:
            if self.is_evicted or self.is_closed or self._waiters:
                return None
            self.is_evicted = True
            self._asked = min(self._asked, now)
            self._keep(now)
            groups, self.groups = self.groups, {}
        return groups

    def is_abandoned(self, now: float) -> bool:
        """Return whether a consumer was here, and has left messages to expire without asking."""
        with self.lock:
            if (
                self._waiters
                or not self.is_own
                or now - self._asked < max(self.keeper.expiry, GONE)
            ):
                return False
            return self.is_evicted or bool(self._messages and self._messages[0][0] <= now)

    def loop(self) -> asyncio.AbstractEventLoop | None:
        """Return the loop of the channel's first receiver, while it is there."""
        loop = None if self._loop is None else self._loop()
        return None if loop is None or loop.is_closed() else loop

    # The end

    def close_if_idle(self) -> bool:
        """Close the mailbox when nothing keeps it: no message, receiver or group."""
        if self._messages or self._waiters or self.groups or self.is_evicted:
            return False  # Nearly always, and seen without the lock.
        with self.lock:
            if self._messages or self._waiters or self.groups or self.is_evicted:
                return False
            self.is_closed = True
            return True

    def close(self) -> dict[str, float]:
        """Take no more, drop what waits, and return the groups it was in.

        Its receivers are woken, and look for the channel's new mailbox.
        """
        with self.lock:
            self.is_closed, self.is_evicted = True, False
            groups, self.groups = self.groups, {}
            waiters, self._waiters = self._waiters, []
            if self._messages:
                self.keeper.count("gone", len(self._messages))
                self._messages.clear()
        for waiter in waiters:
            wake(waiter)
        return groups

    # What is in it

    def copy_groups(self) -> frozenset[str]:
        """Return the groups that the channel is in now."""
        with self.lock:
            return frozenset(self.groups)

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits: no message, expired or not, and no eviction."""
        return not self._messages and not self.is_evicted

    def unexpired(self, now: float) -> tuple[Message, ...]:
        """Return copies of the messages that wait. For tests and debugging."""
        with self.lock:
            return tuple(message() for deadline, message in self._messages if deadline > now)

    # Inside: with the lock held

    def _add(self, message: Copier, now: float, is_sent: bool) -> Put:
        if self.is_closed:
            return Put.CLOSED
        if self.is_evicted:
            return Put.FULL
        if len(self._messages) >= self.capacity:
            self._drop_expired(now)
            if len(self._messages) >= self.capacity and not self._stretch(now, is_sent):
                return Put.FULL
        messages = self._keep(now)
        messages.append((now + self.keeper.expiry, message))
        return Put.CROWDED if 2 * len(messages) > self.capacity else _TAKEN

    def _stretch(self, now: float, is_sent: bool) -> bool:
        """Return whether a message may be added although the capacity is reached."""
        if self.bound > self.capacity and self._stall is None:
            self._stall = Stall(now)
            self.keeper.watch(self, now)
        if is_sent:
            return False
        if len(self._messages) >= self.bound and self.drops_oldest:
            self._messages.popleft()
            self.keeper.count("full", 1)
        return len(self._messages) < self.bound

    def _keep(self, now: float) -> deque[tuple[float, Copier]]:
        """Return the queue, for a message to be added to it."""
        if self._messages is _NONE_YET:
            self._messages = deque()
        if not self.is_scheduled:
            self.is_scheduled = True
            self.keeper.schedule(self, now)
        return self._messages

    def _add_waiter(self) -> Waiter:
        waiter: Waiter = Future()  # Of the running loop: half of the time of `create_future`.
        self._waiters.append(waiter)
        if self._loop is None:
            self._loop = ref(waiter.get_loop())
        return waiter

    def _take(self) -> Copier | None:
        self._asked = now = time.monotonic()
        if self._stall is not None:
            self._stall.end()
        messages = self._messages
        if messages and messages[0][0] <= now:
            self._drop_expired(now)
        if messages:
            return messages.popleft()[1]
        if self.is_evicted:
            self.is_evicted = False  # Whoever goes on after this starts anew.
            return EVICTED
        return None

    def _drop_expired(self, now: float) -> None:
        expired = 0
        while self._messages and self._messages[0][0] <= now:
            self._messages.popleft()
            expired += 1
        if expired:
            self.keeper.count("expired", expired)

    # Inside: without it

    def _wake_next(self) -> None:
        """Have a receiver look for what waits, if there is one that is not gone."""
        while True:
            with self.lock:
                if not self._messages or not self._waiters:
                    return
                waiter = self._waiters.pop(0)
            if wake(waiter):
                return


class SharedMailbox(Mailbox):
    """What waits here on a channel that the workers of several processes share.

    What it gets as a member of a group is for whichever of them is free: it is given to `pass_on`.
    """

    __slots__ = ("_pass_on",)

    def __init__(self, *args: Any, pass_on: Callable[[str, Copier], None]) -> None:
        super().__init__(*args)
        self._pass_on = pass_on

    def put(
        self,
        message: Copier,
        now: float,
        loop: asyncio.AbstractEventLoop | None,
        is_sent: bool = False,
    ) -> Put:
        if is_sent:  # A worker here has taken it, and waits.
            return super().put(message, now, loop, is_sent)
        self._pass_on(self.name, message)
        return _TAKEN
