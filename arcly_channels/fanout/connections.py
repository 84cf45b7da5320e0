"""The connections of a process and the groups they are in; what is delivered to them, and its end.

Every method may be called from any thread and never waits for a client.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence

from arcly_channels.close_codes import CloseCode
from arcly_channels.exceptions import LoopStalled
from arcly_channels.fanout.audience import Audience, One
from arcly_channels.fanout.evictions import Evictions
from arcly_channels.fanout.heartbeat import Heartbeat
from arcly_channels.fanout.index import Index
from arcly_channels.fanout.lanes import Lane
from arcly_channels.fanout.liveness import Liveness
from arcly_channels.fanout.outbox import Outbox, offer
from arcly_channels.fanout.pacing import Pacer, release
from arcly_channels.fanout.pulse import Pulse
from arcly_channels.fanout.rows import NOBODY, About, Connection
from arcly_channels.fanout.tally import Tally
from arcly_channels.fork import runs_again_in_children
from arcly_channels.logs import noted
from arcly_channels.wire.envelope import Frame

STALL_TIMEOUT = 30.0
"""Seconds that a client may take nothing of what waits for it."""

TOO_SLOW = "is too slow"


class Connections(Index):
    """Connections and groups, as `Index` has them, and the ways to reach them.

    `stall_timeout` returns for how many seconds a client may take nothing of what waits for it
    before it is evicted; 0 for ever. `ping_interval` and `idle_timeout` return how many seconds
    pass until a client is asked for a sign of life, and until it is closed without one.
    """

    def __init__(
        self,
        *,
        shards: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        stall_timeout: Callable[[], float] = lambda: STALL_TIMEOUT,
        ping_interval: Callable[[], float] = lambda: 0,
        idle_timeout: Callable[[], float] = lambda: 0,
        on_emptied: Callable[[str], None] = lambda group: None,
    ) -> None:
        super().__init__(shards, clock, on_emptied)
        self._stall_timeout = stall_timeout
        self._ping_interval = ping_interval
        self._idle_timeout = idle_timeout
        self._start_empty()

    @runs_again_in_children
    def _start_empty(self) -> None:
        """Have no connections. After a fork, too: those are the parent's, and so are the locks."""
        super()._start_empty()
        self.pacer = Pacer(self._lanes_of, self.clock)
        has_some = self._lanes.has
        self._liveness = Liveness(
            has_some, self._stall_timeout, self._outboxes_in, self._evict_stalled
        )
        self._heartbeat = Heartbeat(
            has_some,
            self._ping_interval,
            self._idle_timeout,
            self._part_in,
            lambda connection: self._reap(connection.id),
            self.clock,
        )
        self.idle_reaped = 0
        """How many connections were closed because they gave no sign of life."""
        self._pulse = Pulse(has_some, self.clock)
        self._evictions = Evictions(self.clock)

    def add(
        self,
        outbox: Outbox,
        channel: str = "",
        about: About = NOBODY,
        greet: Callable[[int], Frame] | None = None,
    ) -> Connection:
        """Do what `Index.add` does, and look after the connection from then on."""
        connection = super().add(outbox, channel, about, greet)
        for rounds in (self._liveness, self._heartbeat, self._pulse):
            rounds.start(outbox.lane)  # Now that it is there to be looked at.
        return connection

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
        if outbox.is_pressed:
            return False
        return lane.call_at_once(outbox, self._fill, lane, (outbox,), frame, One(id))

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

    @property
    def messages_out(self) -> int:
        """How many frames were put into outboxes, over all connections there ever were."""
        return self.tally().frames

    @property
    def evictions(self) -> int:
        """How many connections were evicted for being slow."""
        return self._evictions.number

    # Inside

    def _reap(self, id: int) -> None:
        closed = self.close(One(id), CloseCode.IDLE_TIMEOUT)
        self.idle_reaped += closed

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
        """Evict who takes nothing, but for one whose system is silent too: it is gone, not slow."""
        if outbox.transport is not None and outbox.transport.silence() >= self._stall_timeout():
            self._reap(outbox.connection_id)
        else:
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
