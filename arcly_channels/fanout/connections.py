"""The connections of a process and the groups they are in; what is delivered to them, and its end.

Every method may be called from any thread and never waits for a client. Locks are taken in one
order: a shard of connections, then a shard of groups. No lock is held while an outbox is touched.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from arcly_channels.close_codes import CloseCode
from arcly_channels.exceptions import LoopStalled
from arcly_channels.fanout.audience import EVERYONE, Audience, Group, One
from arcly_channels.fanout.evictions import Evictions
from arcly_channels.fanout.groups import Groups
from arcly_channels.fanout.heartbeat import Heartbeat
from arcly_channels.fanout.lanes import Lane, Lanes
from arcly_channels.fanout.liveness import Liveness
from arcly_channels.fanout.outbox import Outbox, offer
from arcly_channels.fanout.pacing import Pacer, release
from arcly_channels.fanout.pulse import Pulse
from arcly_channels.fanout.rows import NOBODY, About, Connection, Shard, next_id
from arcly_channels.fanout.tally import Tally
from arcly_channels.fork import runs_again_in_children
from arcly_channels.logs import noted
from arcly_channels.wire.envelope import Frame

STALL_TIMEOUT = 30.0
"""Seconds that a client may take nothing of what waits for it."""

TOO_SLOW = "is too slow"

LEFT_AT_ONCE = 256
"""How many groups a connection leaves in one turn of its loop."""


class Connections:
    """Connections and groups, split over `shards` shards (default: four for every processor).

    `clock` returns seconds that never go back. `stall_timeout` returns for how many seconds a
    client may take nothing of what waits for it before it is evicted; 0 for ever. `ping_interval`
    and `idle_timeout` return how many seconds pass until a client is asked for a sign of life, and
    until it is closed without one.
    """

    def __init__(
        self,
        *,
        shards: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        stall_timeout: Callable[[], float] = lambda: STALL_TIMEOUT,
        ping_interval: Callable[[], float] = lambda: 0,
        idle_timeout: Callable[[], float] = lambda: 0,
    ) -> None:
        count = 4 * (os.cpu_count() or 1) if shards is None else shards
        if count < 1:
            raise ValueError(f"shards is a number of at least 1, not {shards!r}")
        self.shards = count
        self.clock = clock
        self._stall_timeout = stall_timeout
        self._ping_interval = ping_interval
        self._idle_timeout = idle_timeout
        self._start_empty()

    @runs_again_in_children
    def _start_empty(self) -> None:
        """Have no connections. After a fork, too: those are the parent's, and so are the locks."""
        self._shards = [Shard() for _ in range(self.shards)]
        self._by_channel: dict[str, Connection] = {}
        self._groups: Groups[Outbox] = Groups(self.shards)
        self._lanes = Lanes()
        self.pacer = Pacer(self._lanes_of, self.clock)
        has_some = self._lanes.has
        self._liveness = Liveness(
            has_some, self._stall_timeout, self._outboxes_in, self._evict_stalled
        )
        self._heartbeat = Heartbeat(
            has_some,
            self._ping_interval,
            self._idle_timeout,
            self._in_lane,
            self._reap,
            self.clock,
        )
        self.idle_reaped = 0
        """How many connections were closed because they gave no sign of life."""
        self._pulse = Pulse(has_some, self.clock)
        self._evictions = Evictions(self.clock)

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
        self._liveness.start(outbox.lane)  # Once it is there to be looked at.
        self._heartbeat.start(outbox.lane)
        self._pulse.start(outbox.lane)
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
        return self._shard(id).rows.get(id)

    def of_channel(self, channel: str) -> Connection | None:
        """Return the connection that was added with this channel."""
        return self._by_channel.get(channel)

    def __len__(self) -> int:
        """The number of connections, at a cost that does not grow with it."""
        return sum(len(shard.rows) for shard in self._shards)

    def __iter__(self) -> Iterator[Connection]:
        """Yield every connection, as each shard has them when its turn comes."""
        for shard in self._shards:
            with shard.lock:
                rows = list(shard.rows.values())
            yield from rows

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

    def groups(self) -> list[str]:
        """Return the names of all groups. For tests and debugging: it looks at every shard."""
        return self._groups.names()

    # Frames

    def deliver(
        self,
        audience: Audience,
        frame: Frame,
        *,
        exclude: int | None = None,
        places: Iterable[Lane] = (),
    ) -> None:
        """Put a frame into the outbox of everybody in `audience` but the connection `exclude`.

        Who is full even after a flush is evicted. `places` is what the pacer has kept for the
        frame; those that are not needed any more are given back. Raises `LoopStalled` where a
        sender that does not wait has posted far too much to a loop; the other loops have got the
        frame then.
        """
        stalled: Exception | None = None
        unused = list(places)
        for lane, outboxes in self._by_lane(audience):
            if lane.is_dead or lane.is_stopped:
                self._lose(lane, outboxes)
                continue
            if exclude is not None:
                outboxes = tuple(each for each in outboxes if each.connection_id != exclude)
            if lane in unused:
                unused.remove(lane)
            try:
                lane.call(self._fill, lane, outboxes, frame, audience, size=frame.size or 1)
            except LoopStalled as error:
                stalled = error
        release(unused, frame.size or 1)
        if stalled is not None:
            raise stalled

    def deliver_at_once(self, id: int, frame: Frame) -> bool:
        """Put a frame into the outbox of a connection for which no sender would have to wait.

        Returns False, and does nothing, for one that is elsewhere, or behind. Nearly none is, and
        the rest of the ways to deliver takes half of the time of an answer: `benchmarks/echo.py`.
        """
        connection = self.get(id)
        if connection is None:
            return True
        outbox = connection.outbox
        lane = outbox.lane
        if outbox.is_pressed or lane.is_dead or not lane.is_here() or lane.is_ahead():
            return False
        lane.call(self._fill, lane, (outbox,), frame, One(id))
        return True

    def close(self, audience: Audience, code: int, reason: str = "") -> int:
        """Remove the connections in `audience`, and close their sockets after their backlog.

        Returns how many were asked to close. Never waits. In the thread of a connection's event
        loop it is removed when this returns, elsewhere soon; no frame sent afterwards reaches it.
        """
        count = 0
        for lane, outboxes in self._by_lane(audience):
            lane.call(self._close_outboxes, outboxes, code, reason)
            count += len(outboxes)
        return count

    def evict(self, id: int, why: str = TOO_SLOW) -> bool:
        """Remove a connection that is too slow, and close its socket with 4008 after its backlog.

        Returns whether it was there. Counted, and logged at most once a second.
        """
        connection = self.remove(id)
        if connection is None:
            return False
        outbox = connection.outbox
        outbox.lane.call(outbox.close, CloseCode.SLOW_CONSUMER)
        who = f"Connection {connection.id} of {connection.about}"
        extra = noted(connection.id, connection.about.tenant, CloseCode.SLOW_CONSUMER, why)
        self._evictions.add(who, why, extra)
        return True

    def count_eviction(self, who: str, why: str = TOO_SLOW) -> None:
        """Count and log an eviction of something else: of a plain channel, by the layer."""
        self._evictions.add(who, why, noted(reason=why))

    # Counters

    def tally(self) -> Tally:
        """Return what was counted in the lanes, over all connections there ever were."""
        return self._lanes.tally()

    def overdue(self) -> float:
        """Return by how many seconds an event loop with connections is late by now, at most."""
        return self._pulse.overdue()

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Yield every group with the number of its members; see `Groups.sizes`."""
        return self._groups.sizes()

    @property
    def messages_out(self) -> int:
        """How many frames were put into outboxes, over all connections there ever were."""
        return self.tally().frames

    @property
    def evictions(self) -> int:
        """How many connections were evicted for being slow."""
        return self._evictions.number

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

    def _in_lane(self, lane: Lane) -> Iterator[Connection]:
        return (connection for connection in self if connection.outbox.lane is lane)

    def _reap(self, connection: Connection) -> None:
        closed = self.close(One(connection.id), CloseCode.IDLE_TIMEOUT)
        self.idle_reaped += closed

    def _leave_all(self, connection: Connection) -> None:
        groups, lane = connection.groups, connection.outbox.lane
        while groups:
            for _ in range(min(len(groups), LEFT_AT_ONCE)):
                self._groups.discard(groups.pop(), connection.outbox)
            if groups and lane.has_turns and not lane.is_dead:
                lane.call_later(0, self._leave_all, connection)
                return

    def _lose(self, lane: Lane, outboxes: Iterable[Outbox]) -> None:
        """Forget the connections of a loop that is gone; should it go on, they are closed there."""
        for outbox in outboxes:
            self.remove(outbox.connection_id)
            if lane.is_dead:
                lane.call(outbox.cut)  # Or senders would wait for it.
            else:
                lane.call(outbox.close, CloseCode.RESYNC)

    def _close_outboxes(self, outboxes: Iterable[Outbox], code: int, reason: str) -> None:
        """Remove and close connections of one lane, in that lane."""
        for outbox in outboxes:
            if self.remove(outbox.connection_id) is not None:
                outbox.close(code, reason)

    def _evict_stalled(self, outbox: Outbox) -> None:
        self.evict(outbox.connection_id, "takes nothing of what waits for it")

    def _fill(
        self, lane: Lane, outboxes: Sequence[Outbox], frame: Frame, audience: Audience
    ) -> None:
        """Fill outboxes of one lane, in that lane; evict the full ones after the sweep."""
        is_small = frame.size <= lane.small
        others = offer(frame, outboxes, lane.ready) if is_small else outboxes
        taken = len(outboxes) - len(others)
        lane.tally.frames += taken
        lane.tally.bytes += taken * frame.size
        for outbox in others:
            self._insist(lane, outbox, frame, audience)

    def _insist(self, lane: Lane, outbox: Outbox, frame: Frame, audience: Audience) -> None:
        """Put a frame into an outbox that is not nearly empty, which has something to ask first."""
        if outbox.is_pressed or not outbox.put(frame):
            # A burst alone must not evict who is reading: what can go out goes first.
            if outbox.close_code is None:
                outbox.flush()
            if outbox.close_code is not None:
                return  # Closing already: not an eviction.
            if not outbox.put(frame):
                self.evict(outbox.connection_id)
                return
        lane.tally.frames += 1
        lane.tally.bytes += frame.size
        if outbox.is_pressed:
            self.pacer.watch(audience, outbox)
