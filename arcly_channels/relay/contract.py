"""The seam between a layer and the other processes of a project.

A layer gives to its relay whatever its public methods are asked for, with its own half of that: the
relay runs it when it is due. What arrives from elsewhere is given to `on_parcel`, which runs the
local half only. Connections that are to be left out of a broadcast are always of this process, so
that is part of the local half, and never travels.
"""

from __future__ import annotations

import enum
import secrets
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar

from arcly_channels.fanout.audience import Everyone, Group
from arcly_channels.relay.stats import Stats

T = TypeVar("T")


class Kind(enum.IntEnum):
    """What a parcel is. The numbers travel: they are never used again for something else."""

    PROBE = 0
    """Nothing: it shows that what a process sends arrives there again."""
    FRAME = 1
    """A frame for the gateways in a group, or for all there are."""
    EVENT = 2
    """The same, and a Channels message for the plain channels in the group."""
    MESSAGE = 3
    """A Channels message for the channels in a group."""
    SEND = 4
    """A channel, and a Channels message for it."""
    SEND_EVENT = 5
    """A channel of a gateway, and a frame for it, as its text."""
    CLOSE = 6
    """A group, a close code and a reason, for the sockets of the gateways in it."""
    ASK = 7
    """A question: who asks, its number, what is asked, and about what."""
    ANSWER = 8
    """The number of a question, and an answer."""
    NEWS = 9
    """A topic, and what is new about it."""
    MISSED = 10
    """When a process began and ended to keep for itself what was for all, as it had no link."""


class Node(NamedTuple):
    """The layer of one process, as the place that a parcel goes to."""

    id: str


Destination = Group | Everyone | Node


class Parcel(NamedTuple):
    """What one process tells others."""

    kind: Kind
    to: Destination
    body: Any


class Gap(NamedTuple):
    """That messages may be missing here: from when until when, in Unix time, and why."""

    since: float
    until: float
    why: str


class LocalHalf(Protocol):
    """What a relay is given by its layer, and calls in the loop of its links."""

    def on_parcel(self, parcel: Parcel) -> None:
        """Do the local half of what another process was asked for."""

    def has_members(self, group: str) -> bool:
        """Return whether somebody here is in a group. From any thread."""

    def groups_of_members(self) -> list[str]:
        """Return the groups that somebody here is in."""

    def serves(self) -> bool:
        """Return whether there is anybody here who could be reached."""

    def tell_gap(self, gap: Gap) -> None:
        """Tell those who are here that messages may be missing."""

    async def answer(self, what: str, about: Any) -> Any:
        """Answer a question from another process."""


class Relay:
    """Carries parcels between processes; a way to do so is a subclass.

    As it is, it serves a project that runs in one process: there is nobody to tell.
    """

    reaches_others = False
    """Whether there may be other processes."""

    def __init__(self) -> None:
        self.node = secrets.token_hex(8)
        """What tells this layer from those of other processes, and from all there ever were."""

    async def carry(self, parcel: Parcel, here: Callable[[], T] | None) -> T | None:
        """Send a parcel to the other processes, and run the local half of it; wait for both.

        Returns what `here` does, where that ran at once. It is None for what has no local half, or
        had it before: then there is nothing that could be done without the others.
        """
        return None if here is None else here()

    def carry_now(self, parcel: Parcel, here: Callable[[], T] | None) -> T | None:
        """Do the same in code that is not async.

        A thread waits. In a running event loop nothing is waited for, and what goes wrong with the
        other processes is counted there.
        """
        return None if here is None else here()

    def problem(self) -> str | None:
        """Return what keeps parcels from arriving at the moment, if anything does."""
        return None

    def look(self) -> Stats | None:
        """Return what was counted, and what there is at the moment; None where that is nothing."""
        return None

    async def follow(self, *groups: str) -> None:
        """Begin to receive what is for `groups`; return when that is certain."""

    def unfollow(self, *groups: str) -> None:
        """Let go of groups that were followed. One that has members here is heard nevertheless."""

    def emptied(self, group: str) -> None:
        """Note that nobody here is in a group any more. From any thread."""

    async def stop(self) -> None:
        """End. It begins again with the next use."""
