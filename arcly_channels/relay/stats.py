"""What a relay counts, for metrics: in the loop of the links, and readable from any thread."""

from __future__ import annotations

from collections import Counter

from arcly_channels.fanout.tally import Durations

DROPPED = (
    "down",
    "crowded",
    "refused",
    "garbage",
    "version",
    "kind",
    "encryption",
    "failed",
    "own",
)
"""Why what was sent or has arrived went no further."""


class Stats:
    """The numbers of one relay since it was made, or the sums of several."""

    def __init__(self) -> None:
        self.parcels_out = self.bytes_out = 0
        self.parcels_in = self.bytes_in = 0
        self.unknown = 0
        """Of how many parcels nobody knows whether they arrived."""
        self.gaps = 0
        self.dropped = Counter(dict.fromkeys(DROPPED, 0))
        self.lag = Durations()
        """How long parcels were under way, by the clocks of both ends."""
        self.links = 0
        """How many links there are at the moment, …"""
        self.links_wanted = 0
        """… and how many there should be."""
        self.subscriptions = 0
        """How many topics are heard."""

    def absorb(self, other: Stats) -> None:
        """Add the numbers of another relay."""
        for name, number in vars(other).items():
            if isinstance(number, int):
                setattr(self, name, getattr(self, name) + number)
        self.dropped.update(other.dropped)
        self.lag.absorb(other.lag)
