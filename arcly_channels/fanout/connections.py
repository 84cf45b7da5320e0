"""The connection registry: who is connected, who is in which room, and the fan-out to both.

The seed's `ConnectionRegistry`. Every method may be called from any thread and never blocks on a
recipient. Locks are taken in one order: a shard of connections, then a shard of rooms.
"""

from __future__ import annotations

import itertools
import logging
import operator
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from arcly_channels.close_codes import CloseCode
from arcly_channels.fanout.groups import Members, Membership
from arcly_channels.fanout.lanes import Lanes
from arcly_channels.fanout.outbox import Concerns, Lane, Outbox, everyone, offer
from arcly_channels.wire.envelope import Frame

logger = logging.getLogger(__name__)

WARNING_INTERVAL = 1.0
"""Seconds between two log lines about evictions."""

_next_id = itertools.count(1).__next__
_id_lock = threading.Lock()

Claims = Mapping[str, Any]


class Connection:
    """A row of the registry: one accepted WebSocket."""

    __slots__ = ("claims", "id", "last_seen", "outbox", "rooms")

    def __init__(self, id: int, outbox: Outbox, claims: Claims | None, now: float) -> None:
        self.id = id
        self.outbox = outbox
        self.claims = claims
        self.last_seen = now
        self.rooms: set[str] = set()


class _Shard:
    """A part of the connections, and their outboxes as the members of a room of everyone."""

    __slots__ = ("everyone", "lock", "rows")

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.rows: dict[int, Connection] = {}
        self.everyone: Members[Outbox] = Members(self.lock)


class ConnectionRegistry:
    """Connections and rooms, split over `shards` shards (default: four for every processor).

    `clock` returns seconds that never go back.
    """

    def __init__(
        self, *, shards: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        count = 4 * (os.cpu_count() or 1) if shards is None else shards
        if count < 1:
            raise ValueError(f"shards is a number of at least 1, not {shards!r}")
        self.shards = count
        self._shards = [_Shard() for _ in range(count)]
        self._rooms: Membership[Outbox] = Membership(count)
        self._lanes = Lanes()
        self._clock = clock
        self._lock = threading.Lock()  # Guards what follows; never held while another is taken.
        self._evictions = 0
        self._idle_reaped = 0
        self._warned_at = -WARNING_INTERVAL

    # Connections

    def register(self, outbox: Outbox, claims: Claims | None = None) -> int:
        """Add a connection and return its id, which no other connection of this process has."""
        with _id_lock:
            id = _next_id()
        outbox.connection_id = id
        self._lanes.enter(outbox.lane)
        shard = self._shard(id)
        with shard.lock:
            shard.rows[id] = Connection(id, outbox, claims, self._clock())
            shard.everyone.add(outbox)
        return id

    def unregister(self, id: int) -> bool:
        """Remove a connection from the registry and all its rooms; return whether it was there.

        Nothing is sent to it and its socket stays open: that is up to who registered it.
        """
        connection = self._remove(id)
        return connection is not None

    def evict(self, id: int) -> bool:
        """Remove a connection that is too slow, and close its socket with 4008 after its backlog.

        Returns whether it was there. Counted, and logged at most once a second.
        """
        connection = self._remove(id)
        if connection is None:
            return False
        outbox = connection.outbox
        outbox.lane.run_unpaced(outbox.close, CloseCode.SLOW_CONSUMER)
        self.count_eviction(f"Connection {id}")
        return True

    def close(self, id: int, code: int, reason: str = "") -> None:
        """Remove a connection and close its socket with `code` after its backlog.

        An unknown id is ignored.
        """
        connection = self._shard(id).rows.get(id)
        if connection is not None:
            outbox = connection.outbox
            outbox.lane.run_unpaced(self._close_outboxes, (outbox,), code, reason)

    def close_room(self, room: str, code: int, reason: str = "") -> int:
        """Do what `close` does to every connection in `room`; return how many were asked to close.

        In the thread of a connection's event loop it is removed when this returns, elsewhere soon;
        no frame that is sent afterwards reaches it.
        """
        count = 0
        for lane, outboxes in self._rooms.snapshot(room):
            lane.run_unpaced(self._close_outboxes, outboxes, code, reason)
            count += len(outboxes)
        return count

    def touch(self, id: int) -> None:
        """Note a sign of life of a connection; an unknown id is ignored."""
        connection = self._shard(id).rows.get(id)
        if connection is not None:
            connection.last_seen = self._clock()

    def sweep_idle(self, max_idle_seconds: float) -> list[int]:
        """Close (4012) and remove what gave no sign of life for more than that; return the ids."""
        now = self._clock()
        stale = [
            connection.id
            for connection in self._connections()
            if now - connection.last_seen > max_idle_seconds
        ]
        reaped = []
        for id in stale:
            connection = self._remove(id)
            if connection is not None:
                outbox = connection.outbox
                outbox.lane.run_unpaced(outbox.close, CloseCode.IDLE_TIMEOUT)
                reaped.append(id)
        with self._lock:
            self._idle_reaped += len(reaped)
        return reaped

    def close_all(self, code: int = CloseCode.SERVICE_RESTART) -> int:
        """Ask every socket to close after its backlog; return how many were asked."""
        visited = 0
        for connection in self._connections():
            outbox = connection.outbox
            outbox.lane.run_unpaced(outbox.close, code)
            visited += 1
        return visited

    def set_claims(self, id: int, claims: Claims | None) -> None:
        """Replace the claims of a connection; an unknown id is ignored."""
        connection = self._shard(id).rows.get(id)
        if connection is not None:
            connection.claims = claims

    def connection_count(self) -> int:
        """Return the number of connections, at a cost that does not grow with it."""
        return sum(len(shard.rows) for shard in self._shards)

    # Rooms

    def join_room(self, id: int, room: str) -> None:
        """Add a connection to a room; an unknown id is ignored.

        The lock of the connection's shard is held until the room knows it, so a concurrent
        `unregister` comes wholly before (nothing happens) or wholly after (it leaves the room).
        """
        shard = self._shard(id)
        with shard.lock:
            connection = shard.rows.get(id)
            if connection is not None:
                connection.rooms.add(room)
                self._rooms.add(room, connection.outbox)

    def leave_room(self, id: int, room: str) -> None:
        """Take a connection out of a room; an unknown id or room is ignored."""
        shard = self._shard(id)
        with shard.lock:
            connection = shard.rows.get(id)
            if connection is not None and room in connection.rooms:
                connection.rooms.remove(room)
                self._rooms.discard(room, connection.outbox)

    def room_members(self, room: str) -> list[int]:
        """Return the ids of the connections in `room`."""
        return [outbox.connection_id for outbox in self._rooms.members(room)]

    def rooms(self) -> list[str]:
        """Return the names of all rooms. For tests and debugging: it looks at every shard."""
        return self._rooms.rooms()

    # Frames

    def send_text(self, id: int, text: str) -> None:
        """Put a text into one connection's outbox; an unknown id is ignored."""
        self.send(id, Frame.from_text(text))

    def broadcast_text(self, text: str) -> None:
        """Put a text, encoded once, into the outbox of every connection."""
        self.broadcast(Frame.from_text(text))

    def broadcast_room_text(self, room: str, text: str) -> None:
        """Put a text, encoded once, into the outbox of every connection in `room`."""
        self.broadcast_room(room, Frame.from_text(text))

    def send(self, id: int, frame: Frame) -> None:
        """Put a frame into one connection's outbox; an unknown id is ignored."""
        connection = self._shard(id).rows.get(id)
        if connection is not None:
            outbox = connection.outbox
            one = ((outbox.lane, (outbox,)),)
            self._fan_out(one, frame, None, partial(operator.is_, outbox))

    def broadcast(self, frame: Frame, *, exclude: int | None = None) -> None:
        """Put a frame into the outbox of every connection but `exclude`."""
        by_lane: dict[Lane, list[Outbox]] = {}
        for shard in self._shards:
            for lane, outboxes in shard.everyone.snapshot():
                by_lane.setdefault(lane, []).extend(outboxes)
        # One call per lane, not per shard: a thread's broadcast reaches all of a loop or none.
        self._fan_out(by_lane.items(), frame, exclude, everyone)

    def broadcast_room(self, room: str, frame: Frame, *, exclude: int | None = None) -> None:
        """Put a frame into the outbox of every connection in `room` but `exclude`."""
        is_in_room = partial(self._rooms.has, room)
        self._fan_out(self._rooms.snapshot(room), frame, exclude, is_in_room)

    async def settle(self, *, room: str | None = None, id: int | None = None) -> None:
        """Wait until more can be sent to `room`, to the connection `id`, or to everybody.

        A sender that can wait does so before each frame, so that a burst is slowed to what clients
        that read can take, instead of evicting them. See `pump`.
        """
        concerns = everyone
        if room is not None:
            concerns = partial(self._rooms.has, room)
        elif id is not None:
            connection = self._shard(id).rows.get(id)
            concerns = partial(operator.is_, connection and connection.outbox)
        for lane in self._lanes.all():
            await lane.settle(concerns)

    # Counters

    @property
    def messages_out(self) -> int:
        """How many frames were put into outboxes, over all connections there ever were."""
        return self._lanes.enqueued

    @property
    def evictions(self) -> int:
        """How many connections were evicted for being slow."""
        return self._evictions

    @property
    def idle_reaped(self) -> int:
        """How many connections `sweep_idle` closed."""
        return self._idle_reaped

    def count_eviction(self, who: object) -> None:
        """Count and log an eviction: of a connection here, or of a plain channel by the layer."""
        now = self._clock()
        with self._lock:
            self._evictions += 1
            evictions = self._evictions
            is_due = now - self._warned_at >= WARNING_INTERVAL
            if is_due:
                self._warned_at = now
        if is_due:
            logger.warning("%s is too slow: evicted (%d evictions so far)", who, evictions)

    # Inside

    def _shard(self, id: int) -> _Shard:
        return self._shards[id % len(self._shards)]

    def _connections(self) -> Iterator[Connection]:
        """Yield every connection, as each shard has them when its turn comes."""
        for shard in self._shards:
            with shard.lock:
                rows = list(shard.rows.values())
            yield from rows

    def _remove(self, id: int) -> Connection | None:
        shard = self._shard(id)
        with shard.lock:
            connection = shard.rows.pop(id, None)
            if connection is None:
                return None
            shard.everyone.discard(connection.outbox)
        # No room is joined from here on: `join_room` no longer finds the row.
        for room in connection.rooms:
            self._rooms.discard(room, connection.outbox)
        self._lanes.leave(connection.outbox.lane)
        return connection

    def _close_outboxes(self, outboxes: tuple[Outbox, ...], code: int, reason: str) -> None:
        """Remove and close connections of one lane, in that lane."""
        for outbox in outboxes:
            if self._remove(outbox.connection_id) is not None:
                outbox.close(code, reason)

    def _fan_out(
        self,
        snapshot: Iterable[tuple[Lane, Sequence[Outbox]]],
        frame: Frame,
        exclude: int | None,
        concerns: Concerns,
    ) -> None:
        for lane, outboxes in snapshot:
            if lane.is_dead:
                for outbox in outboxes:
                    self._remove(outbox.connection_id)
                continue
            if exclude is not None:
                outboxes = tuple(each for each in outboxes if each.connection_id != exclude)
            lane.run(self._deliver, lane, outboxes, frame, size=frame.size, concerns=concerns)

    def _deliver(self, lane: Lane, outboxes: Sequence[Outbox], frame: Frame) -> None:
        """Fill outboxes of one lane, in that lane; evict the full ones after the sweep."""
        refused = offer(frame, outboxes, lane.ready)
        lane.enqueued += len(outboxes) - len(refused)
        for outbox in refused:
            self._insist(lane, outbox, frame)

    def _insist(self, lane: Lane, outbox: Outbox, frame: Frame) -> None:
        """Offer once more after a flush, since a burst alone must not evict who is reading."""
        if outbox.close_code is None:
            outbox.flush()
        if outbox.close_code is not None:
            return  # Closing already: not an eviction, as in the seed.
        if not outbox.put(frame):
            self.evict(outbox.connection_id)
            return
        lane.enqueued += 1
        if outbox.is_pressed:
            lane.press(outbox)
