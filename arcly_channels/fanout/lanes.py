"""The lanes that have connections, and what was enqueued in all the lanes there ever were."""

from __future__ import annotations

import threading

from arcly_channels.fanout.outbox import Lane


class Lanes:
    """Counts the connections of each lane, and forgets a lane without losing its count.

    May be used from any thread; its lock is never held while another is taken.
    """

    def __init__(self) -> None:
        self._connections: dict[Lane, int] = {}
        self._enqueued_before = 0
        self._lock = threading.Lock()

    def enter(self, lane: Lane) -> None:
        """Note a connection in `lane`."""
        with self._lock:
            self._connections[lane] = self._connections.get(lane, 0) + 1

    def leave(self, lane: Lane) -> None:
        """Note the end of a connection in `lane`, and forget the lane after its last one."""
        with self._lock:
            self._connections[lane] -= 1
            is_unused = not self._connections[lane]
        if is_unused:
            # In the lane, after all that may still be counted there.
            lane.call(self._forget, lane)

    def all(self) -> tuple[Lane, ...]:
        """Return the lanes that have connections."""
        with self._lock:
            return tuple(self._connections)

    @property
    def enqueued(self) -> int:
        """How many frames were put into outboxes, also of lanes that are gone."""
        with self._lock:
            return self._enqueued_before + sum(lane.enqueued for lane in self._connections)

    def _forget(self, lane: Lane) -> None:
        with self._lock:
            if self._connections.get(lane) == 0:
                del self._connections[lane]
                self._enqueued_before += lane.enqueued
                lane.enqueued = 0
