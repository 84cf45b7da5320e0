"""The rows of the connection registry, and the shards they are split over."""

from __future__ import annotations

import itertools
import threading

from arcly_channels.fanout.groups import Members
from arcly_channels.fanout.outbox import Outbox
from arcly_channels.fork import ForkSafeLock

_next_id = itertools.count(1).__next__
_id_lock = ForkSafeLock()


def next_id() -> int:
    """Return an id that no other connection of this process has."""
    with _id_lock:
        return _next_id()


class Connection:
    """A row: one accepted WebSocket. `last_seen` may be written by whoever sees a sign of life."""

    __slots__ = ("about", "channel", "groups", "id", "last_seen", "outbox")

    def __init__(self, id: int, channel: str, outbox: Outbox, about: str, now: float) -> None:
        self.id = id
        self.channel = channel
        self.outbox = outbox
        self.about = about
        self.last_seen = now
        self.groups: set[str] = set()


class Shard:
    """A part of the connections, and their outboxes as the members of a group of everyone."""

    __slots__ = ("everyone", "lock", "rows")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.rows: dict[int, Connection] = {}
        self.everyone: Members[Outbox] = Members(self.lock)
