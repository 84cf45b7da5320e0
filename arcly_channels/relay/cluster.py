"""The nodes of a Redis Cluster (7.0 or later), as one process sees them: sharded pub/sub.

A message goes to the node that has the slot of its topic, and no further. Slots move while all goes
on, so a node may say of whatever it is given that it is another's by now. Then it has done nothing,
and what was sent is sent again to the other. What was to be heard may have been missed: a gap.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import count

from arcly_channels.exceptions import RelayUnavailable
from arcly_channels.relay.contract import Kind
from arcly_channels.relay.letters import Letter
from arcly_channels.relay.link import Link
from arcly_channels.relay.names import SLOTS, ClusterNames, by_slot, slot_of
from arcly_channels.relay.office import Office
from arcly_channels.relay.servers import Server
from arcly_channels.relay.shard import Dial, RelayShard
from arcly_channels.relay.shards import Shards
from arcly_channels.relay.topics import Verbs
from arcly_channels.relay.topology import TIMEOUT, NodeAddress, Owners, Topology

RETRY = 0.05
"""Seconds until a letter that a node does not take is posted again. Who has its slot is known then,
as a rule."""

ELSEWHERE = ("MOVED ", "ASK ", "TRYAGAIN ", "CLUSTERDOWN ")
"""How a refusal begins that says: not me, or not now."""

SHARDED = Verbs("SPUBLISH", "SSUBSCRIBE", "SUNSUBSCRIBE", "smessage", by_slot)


class ClusterShards(Shards):
    """One shard for each node that this process has to do with, made when it is needed.

    As long as it is not known who has a slot, its names are on a shard of no address, which has no
    link. What waits there moves to where it belongs like everything that moves.
    """

    def __init__(
        self,
        seeds: Sequence[Server],
        office: Office,
        names: ClusterNames,
        heard_before: Callable[[], Iterable[bytes]],
        on_end: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(names.always(), heard_before, on_end)
        self._office = office
        self._names = names
        self._loop = asyncio.get_running_loop()
        self._numbers = count()
        self._owners: Owners = [None] * SLOTS
        self._shards: dict[NodeAddress | None, RelayShard] = {}  # Replaced whole: threads iterate.
        self._refused: set[RelayShard] = set()
        """Those that have said of a topic that they have it no more."""
        self._ending: set[asyncio.Task[None]] = set()
        self._is_over = False
        self._topology = Topology(seeds, self._learn)
        self._shard_at(None)

    def __iter__(self) -> Iterator[RelayShard]:
        return iter(self._shards.values())

    def of(self, name: bytes) -> RelayShard:
        return self._shard_at(self._owners[slot_of(name)])

    def links(self) -> list[Link]:
        return [*super().links(), *self._topology.links]

    async def dial(self, name: bytes) -> Link:
        await self._topology.has_asked.wait()
        return await super().dial(name)

    def dials(self) -> list[Dial]:
        return [self._dial_of(address) for address in dict.fromkeys(self._owners)]

    async def stop(self) -> None:
        """Send what was posted, as soon as it is known where to, and end all links."""
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._topology.has_asked.wait(), TIMEOUT)
        await super().stop()
        await self._topology.stop()
        self._is_over = True
        made_meanwhile = (shard.stop() for shard in self)
        await asyncio.gather(*made_meanwhile, *self._ending)

    # Inside

    def _shard_at(self, address: NodeAddress | None) -> RelayShard:
        shard = self._shards.get(address)
        if shard is None:
            shard = RelayShard(
                *(next(self._numbers), self._dial_of(address), self._office),
                *(self._probe_at(address), SHARDED),
            )
            shard.is_elsewhere = self._is_elsewhere
            shard.subscriber.on_moved = partial(self._on_moved, shard)
            if not self._is_over:
                shard.start()
            self._shards = {**self._shards, address: shard}
        return shard

    def _probe_at(self, address: NodeAddress | None) -> bytes:
        """Return a topic that a node has."""
        probes = self._names.probes()
        return next(probe for probe in probes if self._owners[slot_of(probe)] == address)

    def _dial_of(self, address: NodeAddress | None) -> Dial:
        if address is None:
            return self._dial_nobody
        return partial(self._dial, self._topology.node_at(address))

    async def _dial(self, node: Server) -> Link:
        self._topology.doubt()  # Whatever was there before is no more.
        return await node.connect()

    async def _dial_nobody(self) -> Link:
        self._topology.doubt()
        await self._topology.has_asked.wait()
        if None not in self._owners:
            await self._loop.create_future()  # There is nothing left here, and this shard ends.
        raise ConnectionError(self._topology.problem or "no node of the cluster has this slot")

    # What moves

    def _learn(self, owners: Owners) -> bool:
        """Take note of who has what by now; return whether that is new."""
        is_new = owners != self._owners
        if is_new:
            before, self._owners = self._shards, owners
            nodes = set(owners)
            self._shards = {node: shard for node, shard in before.items() if node in nodes}
            for node, shard in before.items():
                if node not in nodes:
                    self._retire(shard)
                elif self.of(shard.probe) is not shard:
                    shard.probe_by(self._probe_at(node))
                self._move_out(shard)
        for shard in self._refused:
            shard.subscriber.ask_again()
        self._refused.clear()
        return is_new

    def _move_out(self, shard: RelayShard) -> None:
        """Bring what waits at a shard, or is heard by it, to where it belongs."""
        shard.subscriber.move_out(self.hearer_of, self._topology.sure_until)
        for letter in shard.publisher.take_back():
            self._post_again(letter)

    def _retire(self, shard: RelayShard) -> None:
        shard.retire(heir=self.of(self._always[0]))
        ending = self._loop.create_task(shard.stop())
        self._ending.add(ending)
        ending.add_done_callback(self._ending.discard)

    def _on_moved(self, shard: RelayShard) -> float:
        """Look who has what a shard has no more; return until when it surely had it."""
        self._refused.add(shard)
        self._topology.doubt()
        return self._topology.sure_until

    def _is_elsewhere(self, letter: Letter, error: Exception) -> bool:
        """Post a letter again, in a moment, if somebody else may take it; return whether."""
        if not str(error).startswith(ELSEWHERE):
            return False
        self._topology.doubt()
        if letter.kind is Kind.PROBE or time.monotonic() + RETRY >= letter.deadline:
            return False
        self._loop.call_later(RETRY, self._post_again, letter.again())
        return True

    def _post_again(self, letter: Letter) -> None:
        if self._is_over or letter.kind is Kind.PROBE:  # A probe is about one node.
            letter.settle(RelayUnavailable("the node that it was for has it no more"))
        else:
            self.of(letter.subject).publisher.post(letter)
