"""The bounded queue of one channel, and the receivers that wait for it, in whatever loop."""

from __future__ import annotations

import asyncio
import enum
import math
import threading
from collections import deque
from collections.abc import Callable

from arcly_channels.layers.message import Message

EVICTED: Message = {"type": "gateway.evicted"}
"""The last message of a channel that was evicted."""

Copier = Callable[[], Message]


class Put(enum.Enum):
    """What became of a message that was put into a mailbox."""

    ADDED = enum.auto()
    FULL = enum.auto()
    CLOSED = enum.auto()
    """The mailbox is no longer the channel's: look for the new one and put it there."""


_ADDED = (Put.ADDED, 0)

# A deque takes 600 bytes, and the mailbox of a gateway hardly ever gets a message.
_NONE_YET: deque[tuple[float, Copier]] = deque(maxlen=0)


class Mailbox:
    """What waits on one channel. May be used from any thread and any event loop.

    `groups` are those the channel is in, to be changed under `lock`.
    """

    __slots__ = (
        "_is_closed",
        "_messages",
        "_waiters",
        "capacity",
        "groups",
        "is_evicted",
        "is_scheduled",
        "lock",
        "name",
    )

    lane = None  # Members of a group are kept by lane; a mailbox has none.

    def __init__(self, name: str, capacity: int) -> None:
        self.name = name
        self.capacity = capacity
        self.groups: set[str] = set()
        self.is_evicted = False
        self.is_scheduled = False
        """Whether the layer will look for expired messages here."""
        self.lock = threading.Lock()
        self._messages = _NONE_YET
        self._waiters: list[asyncio.Future[None]] = []
        self._is_closed = False

    def put(self, message: Copier, now: float, expiry: float) -> tuple[Put, int]:
        """Add a message that expires at `now + expiry`, and wake one receiver.

        Returns what became of it, and how many expired messages made room for it.
        """
        dropped = 0
        with self.lock:
            if self._is_closed:
                return Put.CLOSED, 0
            if self.is_evicted:
                return Put.FULL, 0
            if len(self._messages) >= self.capacity:
                dropped = self._drop_expired(now)
                if len(self._messages) >= self.capacity:
                    return Put.FULL, dropped
            self._append(now + expiry, message)
        if self._waiters:
            self._wake_one()
        return (Put.ADDED, dropped) if dropped else _ADDED

    def drop_oldest(self) -> None:
        """Make room for one message."""
        with self.lock:
            if self._messages:
                self._messages.popleft()

    def take(self, now: float) -> tuple[Message | None, int]:
        """Remove the oldest message that has not expired; return it, and how many had."""
        with self.lock:
            dropped = self._drop_expired(now)
            messages = self._messages
            if not messages:
                return None, dropped
            message = messages.popleft()[1]
            if self.is_evicted and not messages:
                self.is_evicted = False  # That was the mark: whoever goes on starts anew.
        return message(), dropped

    def wait(self) -> asyncio.Future[None] | None:
        """Return a future of the running loop that the next message resolves.

        Returns None when there is a message already, or the mailbox is no longer the channel's.
        """
        with self.lock:
            if self._messages or self._is_closed:
                return None
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            return waiter

    def stop_waiting(self, waiter: asyncio.Future[None]) -> None:
        """Take back a waiter whose receiver was cancelled; another gets what it was woken for."""
        with self.lock:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
                return
        self._wake_one()

    def evict(self) -> set[str] | None:
        """Take no more; let the backlog be followed by `EVICTED`; return the groups it was in.

        Returns None when that was done before.
        """
        with self.lock:
            if self.is_evicted or self._is_closed:
                return None
            self.is_evicted = True
            self._append(math.inf, EVICTED.copy)
            groups, self.groups = self.groups, set()
        self._wake_one()
        return groups

    def drop_expired(self, now: float) -> int:
        """Drop the messages that have expired, and return their number."""
        with self.lock:
            return self._drop_expired(now)

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
            self._is_closed = True
            return True

    def close(self) -> set[str]:
        """Take no more, and return the groups it was in.

        Its receivers are woken, and look for the channel's new mailbox when this one is empty.
        """
        with self.lock:
            self._is_closed = True
            groups, self.groups = self.groups, set()
        while self._wake_one(even_if_empty=True):
            pass
        return groups

    def copy_groups(self) -> frozenset[str]:
        """Return the groups that the channel is in now."""
        with self.lock:
            return frozenset(self.groups)

    @property
    def is_closed(self) -> bool:
        """Whether the mailbox is no longer the channel's."""
        return self._is_closed

    @property
    def is_empty(self) -> bool:
        """Whether no message waits, expired or not."""
        return not self._messages

    def unexpired(self, now: float) -> tuple[Message, ...]:
        """Return copies of the messages that wait. For tests and debugging."""
        with self.lock:
            return tuple(message() for deadline, message in self._messages if deadline > now)

    def _append(self, deadline: float, message: Copier) -> None:
        if self._messages is _NONE_YET:
            self._messages = deque()
        self._messages.append((deadline, message))

    def _drop_expired(self, now: float) -> int:
        dropped = 0
        while self._messages and self._messages[0][0] <= now:
            self._messages.popleft()
            dropped += 1
        return dropped

    def _wake_one(self, *, even_if_empty: bool = False) -> bool:
        """Wake one receiver that is still there, in its own loop; return whether there was one."""
        while True:
            with self.lock:
                if not self._waiters or not (self._messages or even_if_empty):
                    return False
                waiter = self._waiters.pop(0)
            loop = waiter.get_loop()
            if loop is asyncio._get_running_loop():
                if not waiter.done():
                    waiter.set_result(None)
                    return True
            else:
                try:
                    loop.call_soon_threadsafe(_resolve, waiter)
                except RuntimeError:
                    if not loop.is_closed():
                        raise
                else:
                    return True


def _resolve(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
