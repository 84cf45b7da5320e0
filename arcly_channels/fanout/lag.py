"""Who is behind in one audience, and whether they go on reading."""

from __future__ import annotations

from concurrent.futures import Future

from arcly_channels.fanout.budget import Budget
from arcly_channels.fanout.lanes import Lane
from arcly_channels.fanout.outbox import Outbox

IDLE_LOOKS = 5
"""After so many looks at which a client had taken nothing it is no longer waited for.

Looks are counted, not seconds: in each, the loop had a turn and the outbox was flushed, so time in
which the loop did something else is not held against the client.
"""


class Mark:
    """What was seen of a client at the last look."""

    __slots__ = ("idle_looks", "taken", "unread")

    def __init__(self, outbox: Outbox) -> None:
        self.idle_looks = 0
        self.taken = outbox.taken
        self.unread = outbox.unread() or 0

    def look(self, outbox: Outbox) -> bool:
        """Return whether `outbox` is still worth waiting for. In its lane, after a flush."""
        unread = outbox.unread() or 0
        # Bytes that leave the kernel's queue are the sign, and not frames alone: a socket takes
        # frames in gulps, as it is writable only when a third of its buffer is free.
        is_reading = outbox.taken != self.taken or unread < self.unread
        self.idle_looks = 0 if is_reading else self.idle_looks + 1
        self.taken, self.unread = outbox.taken, unread
        return self.idle_looks < IDLE_LOOKS


class Lag:
    """The clients of one audience that are behind, and who waits for them.

    Waiting is paid from the `budget` of the audience and from that of the process.
    """

    __slots__ = ("behind", "blame", "budget", "budgets", "lanes_looking", "waiters")

    def __init__(self, budget: Budget, process: Budget) -> None:
        self.budget = budget
        self.budgets = budget, process
        self.behind: dict[Outbox, Mark] = {}
        self.blame = 0.0
        """For how many seconds some client has kept this side waiting, since one is behind."""
        self.waiters: set[Future[None]] = set()
        self.lanes_looking: set[Lane] = set()
