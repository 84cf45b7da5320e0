"""What a shard is given by its relay, and asks of it."""

from __future__ import annotations

import asyncio
from typing import Protocol

from arcly_channels.relay.letters import Letter
from arcly_channels.relay.parcels import Envelope, Sealer
from arcly_channels.relay.stats import Stats


class Office(Protocol):
    """What a shard is to a relay: who takes what arrives, and knows what is wanted."""

    node_number: int
    sealer: Sealer
    stats: Stats
    heard_at: float

    def serves(self) -> bool:
        """Return whether there is anybody here who could be reached."""

    def is_wanted(self, topic: bytes) -> bool:
        """Return whether somebody here is to get what is on a topic."""

    def take(self, topic: bytes, envelope: Envelope) -> None:
        """Do the local half of what has arrived from another process."""

    def deliver(self, letter: Letter) -> None:
        """Do the local half of what this process has sent."""

    def missed(self, since: float, until: float, why: str) -> None:
        """Take note that messages may be missing here."""

    def kept(self, since: float, until: float) -> asyncio.Future[int]:
        """Tell the others that messages may be missing there, which went no further than this.

        Returns a future of whether they were told.
        """
