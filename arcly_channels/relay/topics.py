"""The names that messages are published under, and how far a process is with hearing one."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from arcly_channels.relay.subscriber import Subscriber


class Verbs(NamedTuple):
    """How a server is told to send what is on a topic, and how its messages begin.

    `alike` parts topics into those that one command may name.
    """

    publish: str
    subscribe: str
    unsubscribe: str
    message: str
    alike: Callable[[list[bytes]], Iterable[list[bytes]]]


CLASSIC = Verbs("PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE", "message", lambda names: [names])


class Hearing(enum.Enum):
    """How far a topic is."""

    WANTED = enum.auto()
    """It is to be subscribed to, or was: the server has not said so yet."""
    HEARD = enum.auto()
    ENDING = enum.auto()
    """It was unsubscribed from, and the server has not said so yet."""


class Topic:
    """A name that messages are published under. It is kept while it has a pin, or is wanted."""

    __slots__ = ("heard", "hearer", "name", "pins", "state")

    def __init__(self, name: bytes, hearer: Subscriber) -> None:
        self.name = name
        self.hearer = hearer
        """Whose it is. In a cluster that changes."""
        self.state = Hearing.WANTED
        self.pins = 0
        self.heard: asyncio.Future[None] | None = None
        """For all who wait until it is heard. It outlives the link, and the server."""
