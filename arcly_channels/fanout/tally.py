"""What is counted in a lane, by the calls that run there: without a lock, and once per call.

Whoever asks for the numbers, in whatever thread, adds up those of all lanes. A number may be a
little old then, and is never torn.
"""

from __future__ import annotations

from bisect import bisect_left

BOUNDS = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0)
"""The seconds up to which the classes of a `Durations` reach; one more has all the rest."""


OTHER = "other"
"""The label of whatever is in no closed set."""


class Durations:
    """How often something took how long."""

    __slots__ = ("numbers", "seconds")

    def __init__(self) -> None:
        self.numbers = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0

    def add(self, seconds: float) -> None:
        self.numbers[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    def absorb(self, other: Durations) -> None:
        self.numbers = [sum(pair) for pair in zip(self.numbers, other.numbers, strict=True)]
        self.seconds += other.seconds


class EventTally(Durations):
    """How many events of one name came from clients, and how long their handlers took."""

    __slots__ = ("came",)

    def __init__(self) -> None:
        super().__init__()
        self.came = 0


class Tally:
    """The numbers of one lane, or the sums of several. The keys come from closed sets only."""

    __slots__ = ("bytes", "delays", "errors", "events", "frames", "writes")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Start anew."""
        self.frames = 0
        """How many frames were put into outboxes, …"""
        self.bytes = 0
        """… and the bytes of payload in them."""
        self.writes = 0
        """How often something was handed to a server to be written: about, as a lane counts one
        for every flush, and transports count what they write beyond that."""
        self.events: dict[str, EventTally] = {}
        """Events from clients, by name."""
        self.errors: dict[str, int] = {}
        """How many frames from clients were answered with an error, by its code."""
        self.delays = Durations()
        """How late the event loop was, once a second."""

    def event(self, name: str) -> EventTally:
        """Return the numbers of an event."""
        found = self.events.get(name)
        if found is None:
            found = self.events[name] = EventTally()
        return found

    def count_error(self, code: str) -> None:
        self.errors[code] = self.errors.get(code, 0) + 1

    def absorb(self, other: Tally) -> None:
        """Add what another has counted, which may go on counting meanwhile."""
        self.frames += other.frames
        self.bytes += other.bytes
        self.writes += other.writes
        self.delays.absorb(other.delays)
        for code, number in list(other.errors.items()):
            self.errors[code] = self.errors.get(code, 0) + number
        for name, theirs in list(other.events.items()):
            ours = self.event(name)
            ours.came += theirs.came
            ours.absorb(theirs)
