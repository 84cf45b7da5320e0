"""How many frames a second does the registry offer to outboxes, beside a bare Python loop?

In one thread, without a loop or sockets. Outboxes are emptied between the rounds, outside of the
measured time.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Protocol

from .cli import main
from .harness import CLIENT_CORE, pin
from .results import Result

OURS, BARE = "ConnectionRegistry", "bare Python loop"
SIZES = (1000, 10_000)
LIMIT = 256
OFFERS = 20
"""How often a round offers a frame to every member; only the first finds the outboxes empty."""
TEXT = '{"event":"tick","data":{"p":"' + "x" * 69 + '"}}'


class Room(Protocol):
    def offer(self) -> None: ...

    def empty(self) -> int:
        """Empty every outbox; how many frames were in them."""


class OurRoom:
    """Our registry with one room, its connections without a socket."""

    def __init__(self, members: int) -> None:
        from arcly_channels.fanout.lanes import Lane
        from arcly_channels.fanout.outbox import Outbox
        from arcly_channels.registry import ConnectionRegistry

        self._registry = ConnectionRegistry()
        lane = Lane()
        self._outboxes = [Outbox(lane) for _ in range(members)]
        for outbox in self._outboxes:
            self._registry.join_room(self._registry.register(outbox), "bench")

    def offer(self) -> None:
        self._registry.broadcast_room_text("bench", TEXT)

    def empty(self) -> int:
        offered = sum(outbox.pending_frames for outbox in self._outboxes)
        for outbox in self._outboxes:
            outbox.discard()
        return offered


class _Member:
    __slots__ = ("queue",)

    def __init__(self) -> None:
        self.queue: deque[str] = deque()


class BareRoom:
    """The least that bounded queues take: mark those that were empty, evict those that are full."""

    def __init__(self, members: int) -> None:
        self._members = tuple(_Member() for _ in range(members))
        self._ready: list[_Member] = []

    def offer(self) -> None:
        frame, ready, evicted = TEXT, self._ready, []
        for member in self._members:
            queue = member.queue
            if not queue:
                ready.append(member)
            elif len(queue) >= LIMIT:
                evicted.append(member)
                continue
            queue.append(frame)

    def empty(self) -> int:
        offered = sum(len(member.queue) for member in self._ready)
        for member in self._ready:
            member.queue.clear()
        self._ready.clear()
        return offered


def rate(room: Room, members: int, seconds: float) -> float:
    """Frames a second, over as many rounds as fit. Raises when one did not end up in an outbox."""
    offered, spent = 0, 0.0
    while spent < seconds:
        started = time.perf_counter()
        for _ in range(OFFERS):
            room.offer()
        spent += time.perf_counter() - started
        if (found := room.empty()) != members * OFFERS:
            raise RuntimeError(f"offered {members * OFFERS} frames, found {found} in the outboxes")
        offered += found
    return offered / spent


def run(quick: bool) -> Result:
    pin(CLIENT_CORE)
    repeats, seconds = (1, 0.01) if quick else (7, 0.2)
    result = Result(
        "offer",
        __doc__ or "",
        sizes=list(SIZES),
        offers_per_round=OFFERS,
        seconds_per_sample=seconds,
    )
    for members in SIZES:
        measure = result.measure(f"registry: offering a frame to a room of {members}", "frames/s")
        rooms: dict[str, Room] = {BARE: BareRoom(members)}
        try:
            rooms = {OURS: OurRoom(members), **rooms}
        except ImportError as error:
            result.skip(OURS, str(error))
        for _ in range(repeats):
            for name, room in rooms.items():
                measure.add(name, rate(room, members, seconds))
        result.compare(measure, OURS, BARE, bar=0.5)
    return result


if __name__ == "__main__":
    main(run)
