"""Who is in which group: an index split over shards, with an immutable snapshot per group.

Joining and leaving lock one shard. Reading takes no lock, except to rebuild a group's snapshot once
after its members changed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterator
from typing import Any, Generic, Protocol, TypeVar


class Member(Hashable, Protocol):
    """What can be in a group. `lane` is what its members are grouped by; see `lanes.Lane`."""

    @property
    def lane(self) -> Hashable: ...


M = TypeVar("M", bound=Member)
Snapshot = tuple[tuple[Any, tuple[M, ...]], ...]


class Members(Generic[M]):
    """The members of one group, by lane. Whoever changes them holds the lock of their shard."""

    __slots__ = ("_by_lane", "_lock", "_snapshot")

    def __init__(self, lock: threading.Lock) -> None:
        self._lock = lock
        self._by_lane: dict[Hashable, dict[M, None]] = {}
        self._snapshot: Snapshot[M] | None = ()

    def __bool__(self) -> bool:
        return bool(self._by_lane)

    def __len__(self) -> int:
        return sum(map(len, list(self._by_lane.values())))

    def add(self, member: M) -> bool:
        """Add a member; return whether it is new."""
        of_lane = self._by_lane.setdefault(member.lane, {})
        if member in of_lane:
            return False
        of_lane[member] = None
        self._snapshot = None
        return True

    def discard(self, member: M) -> bool:
        """Remove a member; return whether it was there."""
        of_lane = self._by_lane.get(member.lane)
        if of_lane is None or member not in of_lane:
            return False
        del of_lane[member]
        if not of_lane:
            del self._by_lane[member.lane]
        self._snapshot = None
        return True

    def snapshot(self) -> Snapshot[M]:
        """Return the members as they were after the last change that this thread can see."""
        snapshot = self._snapshot
        if snapshot is None:
            with self._lock:
                snapshot = tuple((lane, tuple(of)) for lane, of in self._by_lane.items())
                self._snapshot = snapshot
        return snapshot


class _Shard(Generic[M]):
    __slots__ = ("groups", "lock")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.groups: dict[str, Members[M]] = {}


class Groups(Generic[M]):
    """A map from group names to members, safe for use by any number of threads.

    `on_emptied` is called with each group whose last member has left it.
    """

    def __init__(self, shards: int, on_emptied: Callable[[str], None] = lambda group: None) -> None:
        self._shards: list[_Shard[M]] = [_Shard() for _ in range(shards)]
        self._on_emptied = on_emptied

    def __contains__(self, group: str) -> bool:
        """Whether somebody is in a group, or was a moment ago."""
        return group in self._shard(group).groups

    def __bool__(self) -> bool:
        """Whether somebody is in any group."""
        return any(shard.groups for shard in self._shards)

    def add(self, group: str, member: M) -> bool:
        """Put `member` into `group`, once however often it is added; return whether it is new."""
        shard = self._shard(group)
        with shard.lock:
            members = shard.groups.get(group)
            if members is None:
                members = shard.groups[group] = Members(shard.lock)
            return members.add(member)

    def discard(self, group: str, member: M) -> bool:
        """Take `member` out of `group`, and forget a group that this leaves empty.

        Returns whether it was in there.
        """
        shard = self._shard(group)
        with shard.lock:
            members = shard.groups.get(group)
            if members is None or not members.discard(member):
                return False
            if members:
                return True
            del shard.groups[group]
        self._on_emptied(group)
        return True

    def snapshot(self, group: str) -> Snapshot[M]:
        """Return the members of `group` by lane; empty for a group that nobody is in."""
        members = self._shard(group).groups.get(group)
        return () if members is None else members.snapshot()

    def members(self, group: str) -> Iterator[M]:
        """Yield the members of `group`, whatever their lane."""
        for _, members in self.snapshot(group):
            yield from members

    def names(self) -> list[str]:
        """Return the names of all groups. For tests and debugging: it looks at every shard."""
        names: list[str] = []
        for shard in self._shards:
            with shard.lock:
                names.extend(shard.groups)
        return names

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Yield every group with the number of its members, and hold nobody up meanwhile."""
        for shard in self._shards:
            time.sleep(0)  # Gives the interpreter away, which would be kept for 5 ms.
            with shard.lock:
                groups = list(shard.groups.items())
            for name, members in groups:
                yield name, len(members)

    def _shard(self, group: str) -> _Shard[M]:
        return self._shards[hash(group) % len(self._shards)]
