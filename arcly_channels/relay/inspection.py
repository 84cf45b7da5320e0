"""Whether the links to a server are what they seem: that what is sent arrives, and goes further."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

from arcly_channels.relay import subscriber as hearing
from arcly_channels.relay.contract import Kind
from arcly_channels.relay.letters import Letter
from arcly_channels.relay.link import Link, Refusal, Reply, command
from arcly_channels.relay.publisher import Publisher
from arcly_channels.relay.subscriber import Subscriber
from arcly_channels.relay.topics import CLASSIC, Verbs

TICK = 0.25
"""Seconds between two looks at the link that hears. What is counted is looks, not time, so that a
loop that was blocked does not take its own silence for the server's."""

ROLE_INTERVAL = 4.0
"""Seconds between two questions whether the server is a master. A replica takes what is published,
says so, and passes it on to nobody else; five seconds later that is to be over."""

MAX_UNANSWERED = 3
"""How many of these questions in a row may have no answer. Then the link is given up: it leads
nowhere, or the server hangs. Eight seconds of that are borne, so that what was written arrives."""


class Inspection:
    """Ends a link by which nothing comes any more. Belongs to one event loop.

    `on_replica` is called when the server is none that passes something on, with the Unix time at
    which it was known to be one.
    """

    def __init__(
        self,
        publisher: Publisher,
        subscriber: Subscriber,
        on_replica: Callable[[float], None],
    ) -> None:
        self.was_master = 0.0
        """When the server was known to be a master, the last time."""
        self._publisher = publisher
        self._subscriber = subscriber
        self._on_replica = on_replica
        self._loop = asyncio.get_running_loop()
        self._silent_looks: int | None = None
        """How often the link was looked at since a probe was acknowledged; None without one."""
        self._is_probing = False
        self._unanswered = 0
        """How often it was asked for the role in vain, since there was an answer."""
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def stop(self) -> None:
        """Look and ask no more."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def look(self, probe: Callable[[], bytes]) -> None:
        """Look at the link that hears, from now on; `probe` returns a topic that is heard by it."""
        self._timers["look"] = self._loop.call_later(TICK, self._look, probe)

    def ask_role(self) -> None:
        """Ask the server whether it is a master, from now on."""
        self._timers["role"] = self._loop.call_later(ROLE_INTERVAL, self._ask_role)

    # Inside

    def _look(self, probe: Callable[[], bytes]) -> None:
        self.look(probe)
        link = self._subscriber.connector.link
        if link is None or link.silence < hearing.PROBE:
            self._silent_looks = None
        elif self._silent_looks is not None:
            self._silent_looks += 1
            if self._silent_looks * TICK > hearing.PROBE:
                self._silent_looks = None
                link.abort()  # What was published did not come: nothing comes any more.
        elif not self._is_probing:
            self._post_probe(probe())

    def _post_probe(self, probe: bytes) -> None:
        """Publish what has to come back. If the server does not take it, that says nothing."""
        letter = Letter(probe, Kind.PROBE, 0, b"")
        letter.done = self._loop.create_future()
        letter.done.add_done_callback(self._probe_posted)
        self._is_probing = True
        self._publisher.post(letter)

    def _probe_posted(self, done: asyncio.Future[int]) -> None:
        self._is_probing = False
        link = self._subscriber.connector.link
        is_taken = not done.cancelled() and done.exception() is None
        if is_taken and link is not None and link.silence >= hearing.PROBE:
            self._silent_looks = 0

    def _ask_role(self) -> None:
        self.ask_role()
        link = self._publisher.connector.link
        if link is None:
            return
        if self._unanswered >= MAX_UNANSWERED:
            link.abort()
            return
        self._unanswered += 1
        link.write(command(b"ROLE"), [partial(self._learn_role, time.time())])

    def _learn_role(self, asked: float, role: Reply) -> None:
        self._unanswered = 0
        if isinstance(role, ConnectionResetError):
            return  # The link is lost.
        if _is_replica(role):
            self._on_replica(self.was_master)
        else:
            self.was_master = asked


async def examine(link: Link, verbs: Verbs) -> None:
    """Raise `ConnectionError` where a server would take a message for nothing, or at every node."""
    if _is_replica(await _asked(link, b"ROLE")):
        raise ConnectionError("the server is a replica, which passes nothing on")
    info = await _asked(link, b"INFO", b"cluster")
    if b"cluster_enabled:1" in (info or b"") and verbs is CLASSIC:
        raise ConnectionError(
            "the server is of a Redis Cluster, where PUBLISH costs every node: say cluster=True"
        )


async def _asked(link: Link, *words: bytes) -> Reply:
    """Return what the server says of itself; None where we may not ask."""
    try:
        return await link.ask(*words)
    except Refusal:
        return None


def _is_replica(role: Reply) -> bool:
    """Return whether a server that says so of itself passes nothing on."""
    return isinstance(role, list) and bool(role) and role[0] == b"slave"
