"""Who is in which room: an index split over shards, with an immutable snapshot per room.

Joining and leaving lock one shard. Reading takes no lock, except to rebuild a room's snapshot once
after its members changed.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterator
from typing import Any, Generic, Protocol, TypeVar


class Member(Hashable, Protocol):
    """What can be in a room. `lane` is what its members are grouped by; see `outbox.Lane`."""

    @property
    def lane(self) -> Hashable: ...


M = TypeVar("M", bound=Member)
Snapshot = tuple[tuple[Any, tuple[M, ...]], ...]


class Members(Generic[M]):
    """The members of one room, by lane. Whoever changes them holds the lock of their shard."""

    __slots__ = ("_by_lane", "_lock", "_snapshot")

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._by_lane: dict[Hashable, dict[M, None]] = {}
        self._snapshot: Snapshot[M] | None = ()

    def __bool__(self) -> bool:
        return bool(self._by_lane)

    def __contains__(self, member: M) -> bool:
        return member in self._by_lane.get(member.lane, ())

    def add(self, member: M) -> None:
        self._by_lane.setdefault(member.lane, {})[member] = None
        self._snapshot = None

    def discard(self, member: M) -> None:
        of_lane = self._by_lane.get(member.lane)
        if of_lane is None or member not in of_lane:
            return
        del of_lane[member]
        if not of_lane:
            del self._by_lane[member.lane]
        self._snapshot = None

    def snapshot(self) -> Snapshot[M]:
        """Return the members as they were after the last change that this thread can see."""
        snapshot = self._snapshot
        if snapshot is None:
            with self._lock:
                snapshot = tuple((lane, tuple(of)) for lane, of in self._by_lane.items())
                self._snapshot = snapshot
        return snapshot


class _Shard(Generic[M]):
    __slots__ = ("lock", "rooms")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.rooms: dict[str, Members[M]] = {}


class Membership(Generic[M]):
    """A map from room names to members, safe for use by any number of threads."""

    def __init__(self, shards: int) -> None:
        self._shards: list[_Shard[M]] = [_Shard() for _ in range(shards)]

    def add(self, room: str, member: M) -> None:
        """Put `member` into `room`, once however often it is added."""
        shard = self._shard(room)
        with shard.lock:
            members = shard.rooms.get(room)
            if members is None:
                members = shard.rooms[room] = Members(shard.lock)
            members.add(member)

    def discard(self, room: str, member: M) -> None:
        """Take `member` out of `room`, and forget a room that this leaves empty."""
        shard = self._shard(room)
        with shard.lock:
            members = shard.rooms.get(room)
            if members is not None:
                members.discard(member)
                if not members:
                    del shard.rooms[room]

    def snapshot(self, room: str) -> Snapshot[M]:
        """Return the members of `room` grouped by lane; empty for a room that nobody is in."""
        members = self._shard(room).rooms.get(room)
        return () if members is None else members.snapshot()

    def has(self, room: str, member: M) -> bool:
        """Return whether `member` is in `room`."""
        members = self._shard(room).rooms.get(room)
        return members is not None and member in members

    def members(self, room: str) -> Iterator[M]:
        """Yield the members of `room`, whatever their lane."""
        for _, members in self.snapshot(room):
            yield from members

    def rooms(self) -> list[str]:
        """Return the names of all rooms. For tests and debugging: it looks at every shard."""
        names: list[str] = []
        for shard in self._shards:
            with shard.lock:
                names.extend(shard.rooms)
        return names

    def _shard(self, room: str) -> _Shard[M]:
        return self._shards[hash(room) % len(self._shards)]
