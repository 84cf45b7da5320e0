"""The seam between a layer and the other processes of a project.

A layer posts to its relay whatever its public methods are asked for, and then does the local half.
What arrives from elsewhere is given to `on_parcel`, which runs the local half only. Connections
that are to be left out of a broadcast are always of this process, so that is never posted.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, NamedTuple


class Kind(enum.Enum):
    """What a parcel is."""

    FRAME = enum.auto()
    """A frame for the gateways in a group; for every gateway when the address is None."""
    MESSAGE = enum.auto()
    """A Channels message for the channels in a group."""
    CLOSE = enum.auto()
    """A close code and a reason for the sockets of the gateways in a group."""


class Parcel(NamedTuple):
    """What one process tells the others."""

    kind: Kind
    address: str | None
    body: Any


class Relay:
    """Carries parcels between processes; a way to do so is a subclass.

    As it is, it serves a project that runs in one process: there is nobody to tell.
    """

    async def start(self, on_parcel: Callable[[Parcel], None]) -> None:
        """Begin, and call `on_parcel` with what arrives, in the running loop."""

    async def stop(self) -> None:
        """End. Idempotent."""

    def post(self, kind: Kind, address: str | None, body: Any) -> None:
        """Send a parcel to the other processes. From any thread; bounded; never waits."""

    def problem(self) -> str | None:
        """Return what keeps parcels from arriving at the moment, if anything does."""

    async def pace(self) -> None:
        """Wait until more may be posted."""

    async def follow(self, group: str) -> None:
        """Begin to receive what is for `group`; return when that is certain."""

    async def unfollow(self, group: str) -> None:
        """Stop to receive what is for `group`."""
