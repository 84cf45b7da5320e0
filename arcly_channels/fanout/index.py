"""Who is connected, and in which groups: the index that frames are delivered by.

Locks are taken in one order: a shard of connections, then a shard of groups. No lock is held while
an outbox is touched.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from math import gcd

from arcly_channels.fanout.audience import EVERYONE, Audience, Group, One
from arcly_channels.fanout.groups import Groups
from arcly_channels.fanout.lanes import Lane, Lanes
from arcly_channels.fanout.outbox import Outbox
from arcly_channels.fanout.rows import NOBODY, About, Connection, Shard, next_id
from arcly_channels.wire.envelope import Frame

LEFT_AT_ONCE = 256
"""How many groups a connection leaves in one turn of its loop."""


class Index:
    """Connections and groups, split over `shards` shards (default: four for every processor).

    `clock` returns seconds that never go back. `on_emptied` is called with each group whose last
    member has left it. For use in any thread.
    """

    def __init__(
        self,
        shards: int | None,
        clock: Callable[[], float],
        on_emptied: Callable[[str], None] = lambda group: None,
    ) -> None:
        count = 4 * (os.cpu_count() or 1) if shards is None else shards
        if count < 1:
            raise ValueError(f"shards is a number of at least 1, not {shards!r}")
        self.shards = count
        self.clock = clock
        self._on_emptied = on_emptied

    def _start_empty(self) -> None:
        self._shards = [Shard() for _ in range(self.shards)]
        self._by_channel: dict[str, Connection] = {}
        self._groups: Groups[Outbox] = Groups(self.shards, self._on_emptied)
        self._lanes = Lanes()

    # Rows

    def add(
        self,
        outbox: Outbox,
        channel: str = "",
        about: About = NOBODY,
        greet: Callable[[int], Frame] | None = None,
    ) -> Connection:
        """Add a connection, with an id that no other of this process has.

        `channel` is the name it can be found by, and `about` is who that is, for the log. `greet`
        makes the frame that comes before any other, from the id. To be called in the lane if so.
        """
        outbox.connection_id = id = next_id()
        if greet is not None:
            outbox.lane.call(outbox.put, greet(id))
        connection = Connection(id, channel, outbox, about, self.clock())
        self._lanes.enter(outbox.lane)
        shard = self._shard(id)
        with shard.lock:
            shard.rows[id] = connection
            shard.everyone.add(outbox)
            if channel:
                self._by_channel[channel] = connection
        return connection

    def remove(self, id: int) -> Connection | None:
        """Remove a connection from here and from all its groups; return it if it was there.

        Nothing is sent to it and its socket stays open. One that is in very many groups leaves some
        of them in later turns of its loop; what is sent to those until then is lost with it.
        """
        shard = self._shard(id)
        with shard.lock:
            connection = shard.rows.pop(id, None)
            if connection is None:
                return None
            shard.everyone.discard(connection.outbox)
            self._by_channel.pop(connection.channel, None)
        # No group is joined from here on: `join` no longer finds the row.
        self._leave_all(connection)
        self._lanes.leave(connection.outbox.lane)
        return connection

    def get(self, id: int) -> Connection | None:
        """Return the connection with this id."""
        return self._shards[id % self.shards].rows.get(id)  # `_shard`, in the way of every answer.

    def of_channel(self, channel: str) -> Connection | None:
        """Return the connection that was added with this channel."""
        return self._by_channel.get(channel)

    def __len__(self) -> int:
        """The number of connections, at a cost that does not grow with it."""
        return sum(len(shard.rows) for shard in self._shards)

    def __iter__(self) -> Iterator[Connection]:
        """Yield every connection, as each shard has them when its turn comes."""
        for shard in self._shards:
            yield from shard.copy()

    # Groups

    def join(self, id: int, group: str) -> bool:
        """Add a connection to a group; return whether that changed anything.

        The lock of the connection's shard is held until the group knows it, so a concurrent
        `remove` comes wholly before (nothing happens) or wholly after (it leaves the group).
        """
        shard = self._shard(id)
        with shard.lock:
            connection = shard.rows.get(id)
            if connection is None:
                return False
            connection.groups.add(group)
            return self._groups.add(group, connection.outbox)

    def leave(self, id: int, group: str) -> bool:
        """Take a connection out of a group; return whether that changed anything."""
        shard = self._shard(id)
        with shard.lock:
            connection = shard.rows.get(id)
            if connection is None or group not in connection.groups:
                return False
            connection.groups.remove(group)
            return self._groups.discard(group, connection.outbox)

    def members(self, group: str) -> list[Connection]:
        """Return the connections in a group."""
        found = [self.get(outbox.connection_id) for outbox in self._groups.members(group)]
        return [connection for connection in found if connection is not None]

    def has_group(self, group: str) -> bool:
        """Return whether somebody is in a group."""
        return group in self._groups

    def groups(self) -> list[str]:
        """Return the names of all groups. For tests and debugging: it looks at every shard."""
        return self._groups.names()

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Yield every group with the number of its members; see `Groups.sizes`."""
        return self._groups.sizes()

    # Inside

    def _shard(self, id: int) -> Shard:
        return self._shards[id % len(self._shards)]

    def _by_lane(self, audience: Audience) -> Iterable[tuple[Lane, Sequence[Outbox]]]:
        """Return the outboxes of an audience, one entry per lane: all of a loop get it, or none."""
        if isinstance(audience, Group):
            return self._groups.snapshot(audience.name)
        if isinstance(audience, One):
            connection = self.get(audience.id)
            return () if connection is None else ((connection.outbox.lane, (connection.outbox,)),)
        by_lane: dict[Lane, list[Outbox]] = {}
        for shard in self._shards:
            for lane, outboxes in shard.everyone.snapshot():
                by_lane.setdefault(lane, []).extend(outboxes)
        return by_lane.items()

    def _lanes_of(self, audience: Audience) -> Collection[Lane]:
        if audience == EVERYONE:
            return self._lanes.all()
        return [lane for lane, _ in self._by_lane(audience)]

    def _outboxes_in(self, lane: Lane) -> list[Outbox]:
        return [outbox for each, of in self._by_lane(EVERYONE) if each is lane for outbox in of]

    def _part_in(self, lane: Lane, part: int, parts: int) -> list[Connection]:
        """Return the connections in a lane whose id is `part` modulo `parts`."""
        step = gcd(parts, len(self._shards))  # The others' shards have none of them.
        return [
            connection
            for shard in self._shards[part % step :: step]
            for connection in shard.copy()
            if connection.id % parts == part and connection.outbox.lane is lane
        ]

    def _leave_all(self, connection: Connection) -> None:
        groups, lane = connection.groups, connection.outbox.lane
        while groups:
            for _ in range(min(len(groups), LEFT_AT_ONCE)):
                self._groups.discard(groups.pop(), connection.outbox)
            if groups and lane.has_turns and not lane.is_dead:
                lane.call_later(0, self._leave_all, connection)
                return
