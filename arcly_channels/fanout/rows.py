"""The rows of the connection registry, and the shards they are split over."""

from __future__ import annotations

import itertools
import threading
from typing import NamedTuple

from arcly_channels.fanout.groups import Members
from arcly_channels.fanout.outbox import Outbox
from arcly_channels.fork import ForkSafeLock

_next_id = itertools.count(1).__next__
_id_lock = ForkSafeLock()


def next_id() -> int:
    """Return an id that no other connection of this process has."""
    with _id_lock:
        return _next_id()


class About(NamedTuple):
    """Who a client is, for the log and for those who watch the server. Holds no secret."""

    user: str | None = None
    tenant: str | None = None
    path: str = ""
    address: str = ""

    def __str__(self) -> str:
        user = "nobody" if self.user is None else f"user {self.user!r}"
        return f"{user}, at {self.path!r} from {self.address or 'an unknown address'}"


NOBODY = About()


class Connection:
    """A row: one accepted WebSocket. `last_seen` may be written by whoever sees a sign of life."""

    __slots__ = ("about", "channel", "groups", "id", "last_seen", "outbox", "since")

    def __init__(self, id: int, channel: str, outbox: Outbox, about: About, now: float) -> None:
        self.id = id
        self.channel = channel
        self.outbox = outbox
        self.about = about
        self.since = self.last_seen = now
        self.groups: set[str] = set()


class Shard:
    """A part of the connections, and their outboxes as the members of a group of everyone."""

    __slots__ = ("everyone", "lock", "rows")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.rows: dict[int, Connection] = {}
        self.everyone: Members[Outbox] = Members(self.lock)

    def copy(self) -> list[Connection]:
        """Return the connections as they are now."""
        with self.lock:
            return list(self.rows.values())
