"""The rows of the connection registry, and the shards they are split over."""

from __future__ import annotations

import itertools
import os
import threading

from arcly_channels.fanout.groups import Members
from arcly_channels.fanout.outbox import Outbox

_next_id = itertools.count(1).__next__
_id_lock = threading.Lock()


def _renew_lock() -> None:
    """Have a lock that nobody holds: in a forked child, who held the old one is not there."""
    global _id_lock
    _id_lock = threading.Lock()


if hasattr(os, "register_at_fork"):  # Windows has no fork.
    os.register_at_fork(after_in_child=_renew_lock)


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
