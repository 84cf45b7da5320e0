"""The bounded queue of one channel, and the receivers that wait for it, in whatever loop."""

from __future__ import annotations

import asyncio
import enum
import math
import threading
import time
from asyncio import _get_running_loop
from collections import deque
from collections.abc import Callable
from typing import Protocol

from arcly_channels.layers.message import Message

EVICTED: Message = {"type": "gateway.evicted"}
"""The last message of a channel that was evicted."""

Copier = Callable[[], Message]
Waiter = asyncio.Future["Copier | None"]


class Put(enum.Enum):
    """What became of a message that was put into a mailbox."""

    HANDED_OVER = enum.auto()
    """A receiver that waited has it."""
    ADDED = enum.auto()
    CROWDED = enum.auto()
    """It was added, and more than half of the room is taken: a sender who can should wait."""
    FULL = enum.auto()
    CLOSED = enum.auto()
    """The mailbox is no longer the channel's: look for the new one and put it there."""


_HANDED_OVER = Put.HANDED_OVER

# A deque takes 600 bytes, and the mailbox of a gateway hardly ever gets a message.
_NONE_YET: deque[tuple[float, Copier]] = deque(maxlen=0)


class Keeper(Protocol):
    """Who looks after mailboxes. Its methods may be called with the lock of a mailbox held."""

    expiry: float
    """Seconds that a message is kept."""

    def schedule(self, mailbox: Mailbox, now: float) -> None:
        """Look for expired messages in `mailbox` in `expiry` seconds."""

    def count_expired(self, number: int) -> None:
        """Take note of messages that expired."""

    def put_back(self, channel: str, message: Copier) -> None:
        """Have a message be the oldest of a channel whose mailbox was closed. No lock is held."""


class Mailbox:
    """What waits on one channel. May be used from any thread and any event loop.

    `groups` are those the channel is in, to be changed under `lock`.
    """

    __slots__ = (
        "_messages",
        "_waiters",
        "capacity",
        "groups",
        "is_closed",
        "is_evicted",
        "is_scheduled",
        "keeper",
        "lock",
        "name",
    )

    lane = None  # Members of a group are kept by lane; a mailbox has none.

    def __init__(self, name: str, capacity: int, keeper: Keeper) -> None:
        self.name = name
        self.capacity = capacity
        self.keeper = keeper
        self.groups: set[str] = set()
        self.is_evicted = False
        self.is_scheduled = False
        """Whether the keeper will look for expired messages here."""
        self.lock = threading.Lock()
        self._messages = _NONE_YET
        self._waiters: list[Waiter] = []  # There is none while there is a message.
        self.is_closed = False
        """Whether the mailbox is no longer the channel's."""

    def put_back(self, message: Copier) -> bool:
        """Give a message whose receiver is gone to the next one, or keep it as the oldest.

        Returns False when the mailbox is no longer the channel's.
        """
        while True:
            with self.lock:
                if self.is_closed:
                    return False
                if not self._waiters:
                    now = time.monotonic()
                    self._keep(now).appendleft((now + self.keeper.expiry, message))
                    return True
                waiter = self._waiters.pop(0)
            if _hand_over(self, waiter, message):
                return True

    def put(self, message: Copier, now: float) -> Put:
        """Hand a message to a receiver that waits, or keep it until it expires."""
        while True:
            with self.lock:
                if not self._waiters:
                    return self._add(message, now)
                waiter = self._waiters.pop(0)
            if waiter.get_loop() is _get_running_loop():  # As `_hand_over`, but for the call.
                if not waiter.done():
                    waiter.set_result(message)
                    return _HANDED_OVER
            elif _hand_over(self, waiter, message):
                return _HANDED_OVER

    def drop_oldest(self) -> None:
        """Make room for one message."""
        with self.lock:
            if self._messages:
                self._messages.popleft()

    def take_or_wait(self) -> Copier | Waiter | None:
        """Remove the oldest message that has not expired and return it, to be called for a copy.

        Without one, return a future of the running loop, which is given the next message; it is to
        be awaited, or given back by `stop_waiting`. Returns None, as the future gives None, when
        the mailbox is no longer the channel's, which has a new one.
        """
        with self.lock:
            if self._messages and (message := self._take()) is not None:
                return message
            if self.is_closed:
                return None
            waiter: Waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            return waiter

    def stop_waiting(self, waiter: Waiter) -> None:
        """Take back a waiter whose receiver does not wait any more; keep what it was given."""
        with self.lock:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
                return
        if waiter.done() and not waiter.cancelled() and (message := waiter.result()) is not None:
            self._return(message)

    def evict(self) -> set[str] | None:
        """Take no more; let the backlog be followed by `EVICTED`; return the groups it was in.

        Returns None when that was done before, or is needless as a receiver waits.
        """
        with self.lock:
            if self.is_evicted or self.is_closed or self._waiters:
                return None
            self.is_evicted = True
            self._keep(time.monotonic()).append((math.inf, EVICTED.copy))
            groups, self.groups = self.groups, set()
        return groups

    def drop_expired(self, now: float) -> None:
        """Drop the messages that have expired."""
        with self.lock:
            self._drop_expired(now)

    def clear(self) -> None:
        """Drop what waits."""
        with self.lock:
            self._messages.clear()
            self.is_evicted = False

    def close_if_idle(self) -> bool:
        """Close the mailbox when nothing keeps it: no message, receiver or group."""
        if self._messages or self._waiters or self.groups:
            return False  # Nearly always, and seen without the lock.
        with self.lock:
            if self._messages or self._waiters or self.groups:
                return False
            self.is_closed = True
            return True

    def close(self) -> set[str]:
        """Take no more, and return the groups it was in.

        Its receivers are woken, and look for the channel's new mailbox when this one is empty.
        """
        with self.lock:
            self.is_closed = True
            groups, self.groups = self.groups, set()
            waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            _hand_over(self, waiter, None)
        return groups

    def copy_groups(self) -> frozenset[str]:
        """Return the groups that the channel is in now."""
        with self.lock:
            return frozenset(self.groups)

    @property
    def is_empty(self) -> bool:
        """Whether no message waits, expired or not."""
        return not self._messages

    def unexpired(self, now: float) -> tuple[Message, ...]:
        """Return copies of the messages that wait. For tests and debugging."""
        with self.lock:
            return tuple(message() for deadline, message in self._messages if deadline > now)

    # Inside: with the lock held

    def _add(self, message: Copier, now: float) -> Put:
        if self.is_closed:
            return Put.CLOSED
        if self.is_evicted:
            return Put.FULL
        if len(self._messages) >= self.capacity:
            self._drop_expired(now)
            if len(self._messages) >= self.capacity:
                return Put.FULL
        messages = self._keep(now)
        messages.append((now + self.keeper.expiry, message))
        return Put.CROWDED if 2 * len(messages) > self.capacity else Put.ADDED

    def _keep(self, now: float) -> deque[tuple[float, Copier]]:
        """Return the queue, for a message to be added to it."""
        if self._messages is _NONE_YET:
            self._messages = deque()
        if not self.is_scheduled:
            self.is_scheduled = True
            self.keeper.schedule(self, now)
        return self._messages

    def _take(self) -> Copier | None:
        self._drop_expired(time.monotonic())
        messages = self._messages
        if not messages:
            return None
        message = messages.popleft()[1]
        if self.is_evicted and not messages:
            self.is_evicted = False  # That was the mark: whoever goes on starts anew.
        return message

    def _drop_expired(self, now: float) -> None:
        expired = 0
        while self._messages and self._messages[0][0] <= now:
            self._messages.popleft()
            expired += 1
        if expired:
            self.keeper.count_expired(expired)

    # Inside: without it

    def _return(self, message: Copier) -> None:
        """Put back a message, in the channel's new mailbox where this one was closed meanwhile."""
        if not self.put_back(message):
            self.keeper.put_back(self.name, message)


def _hand_over(mailbox: Mailbox, waiter: Waiter, message: Copier | None) -> bool:
    """Give `message` to a receiver in its own loop; return False when it is known to be gone."""
    loop = waiter.get_loop()
    if loop is _get_running_loop():
        try:
            waiter.set_result(message)
        except asyncio.InvalidStateError:
            return False  # It was cancelled.
        return True
    try:
        loop.call_soon_threadsafe(_resolve, mailbox, waiter, message)
    except RuntimeError:
        if not loop.is_closed():
            raise
        return False
    return True


def _resolve(mailbox: Mailbox, waiter: Waiter, message: Copier | None) -> None:
    if not waiter.done():
        waiter.set_result(message)
    elif message is not None:
        mailbox._return(message)
