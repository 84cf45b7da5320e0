"""Which node of a Redis Cluster has which slot, and how that is found out."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple

from arcly_channels.relay.connector import end, was_cancelled
from arcly_channels.relay.link import Link, Refusal, Reply
from arcly_channels.relay.names import SLOTS
from arcly_channels.relay.servers import Server

INTERVAL = 5.0
"""Seconds between two questions for what may have changed, where nothing hints at that."""

PAUSE, LONGEST_PAUSE = 0.1, 1.0
"""Seconds between two questions at least; the longer one once no node has answered."""

TIMEOUT = 1.0
"""Seconds that a node has for an answer, before another one is asked."""

LAG = 1.0
"""Seconds within which all nodes know what has changed: they tell each other at once."""


class NodeAddress(NamedTuple):
    """Where a node can be reached."""

    host: str
    port: int


Owners = Sequence[NodeAddress | None]
"""The master that has a slot, for each slot; None where none has it."""


class Topology:
    """Asks one node after the other which of them has what. Belongs to one event loop.

    `learn` is called with each answer, and returns whether that is new. `seeds` are nodes of the
    cluster; one is enough, as it names the others.
    """

    def __init__(self, seeds: Sequence[Server], learn: Callable[[Owners], bool]) -> None:
        self.problem: str | None = None
        """Why the last question has no answer, if it has none."""
        self.has_asked = asyncio.Event()
        """Whether there was an answer, or a problem."""
        self.sure_until = 0.0
        """Until when (Unix time) all was as the last answer says."""
        self._seeds = seeds
        self._learn = learn
        self._nodes = list(seeds)
        self._turn = random.randrange(len(seeds))  # noqa: S311  # No secret.
        self._failures = 0
        self._doubt = asyncio.Event()
        self._link: Link | None = None
        self._task = asyncio.get_running_loop().create_task(self._watch())

    @property
    def links(self) -> list[Link]:
        """The link by which it asks, if there is one."""
        return [] if self._link is None else [self._link]

    def doubt(self) -> None:
        """Ask soon: something may have changed."""
        self._doubt.set()

    def node_at(self, address: NodeAddress) -> Server:
        """Return a node, which is talked to as the seeds are."""
        return self._seeds[0].at(*address)

    async def stop(self) -> None:
        """Ask no more."""
        await end(self._task)

    # Inside

    async def _watch(self) -> None:
        try:
            while not was_cancelled():
                await self._look()
                await asyncio.sleep(self._pause())
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._doubt.wait(), INTERVAL)
        finally:
            self._turn_to_next()

    async def _look(self) -> None:
        is_in_doubt = self._doubt.is_set()
        self._doubt.clear()
        is_new = False
        try:
            is_new = await self._ask()
        except Exception as error:  # noqa: BLE001  # Told, and another node is asked.
            self.problem = str(error) or type(error).__name__
            self._failures += 1
            self._doubt.set()
        else:
            self.problem, self._failures = None, 0
        self.has_asked.set()
        if self.problem is not None or (is_in_doubt and not is_new):
            self._turn_to_next()  # This one may be the last to know.

    async def _ask(self) -> bool:
        """Ask a node; return whether what it says is new."""
        node, asked = self._nodes[self._turn % len(self._nodes)], time.time()
        if self._link is None or self._link.is_lost:
            self._link = await node.connect()
        try:
            slots = await asyncio.wait_for(self._link.ask(b"CLUSTER", b"SLOTS"), TIMEOUT)
        except Refusal as error:
            raise ConnectionError(
                f"the server does not say what is where in its cluster: {error}; "
                "if it is of none, leave out cluster=True"
            ) from error
        owners = _owners(slots, node.host or "")
        is_new = self._learn(owners)
        if is_new:
            self._nodes = [*self._seeds, *map(self.node_at, filter(None, dict.fromkeys(owners)))]
        self.sure_until = asked - LAG
        return is_new

    def _turn_to_next(self) -> None:
        self._turn += 1
        link, self._link = self._link, None
        if link is not None:
            link.abort()

    def _pause(self) -> float:
        longest = PAUSE if self._failures < len(self._nodes) else LONGEST_PAUSE
        return random.uniform(PAUSE, longest)  # noqa: S311  # No secret.


def _owners(slots: Reply, host: str) -> Owners:
    """Return what an answer says. A node that does not know its own name has that of `host`."""
    owners: list[NodeAddress | None] = [None] * SLOTS
    for first, last, master, *_ in slots:
        address = NodeAddress(master[0].decode() if master[0] else host, master[1])
        owners[first : last + 1] = [address] * (last + 1 - first)
    return owners
