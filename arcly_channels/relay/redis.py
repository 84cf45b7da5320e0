"""The relay over Redis or Valkey: what it is given is published, and what arrives is read."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

from arcly_channels.fanout.audience import EVERYONE, Group
from arcly_channels.logs import Repeats
from arcly_channels.relay.cluster import ClusterShards
from arcly_channels.relay.contract import Destination, Gap, Kind, LocalHalf, Parcel, Relay
from arcly_channels.relay.gaps import Gaps
from arcly_channels.relay.home import Home
from arcly_channels.relay.letters import Letter, UnderWay
from arcly_channels.relay.names import ClusterNames, Names
from arcly_channels.relay.parcels import Envelope, Garbled, Sealer
from arcly_channels.relay.post import Post
from arcly_channels.relay.questions import Questions
from arcly_channels.relay.servers import Server
from arcly_channels.relay.shard import RelayShard
from arcly_channels.relay.shards import ServerShards, Shards
from arcly_channels.relay.stats import Stats

logger = logging.getLogger(__name__)

T = TypeVar("T")


class RedisRelay(Relay):
    """Carries parcels over Redis. For use in any thread and event loop.

    With `delivers_at_once`, what this process sends reaches its own members before it is sent, in
    the order of each sender only; else it comes back to them, in one order for all processes.
    `servers` are nodes of one cluster if `is_cluster`; else they know nothing of each other.
    """

    reaches_others = True

    def __init__(
        self,
        half: LocalHalf,
        servers: Sequence[Server],
        *,
        prefix: str,
        keys: Sequence[str | bytes] = (),
        delivers_at_once: bool = False,
        is_cluster: bool = False,
    ) -> None:
        super().__init__()
        self.node_number = int(self.node, 16)
        self.sealer = Sealer(keys)
        self.stats = Stats()
        names = ClusterNames if is_cluster else Names
        self.names = names(prefix, self.node)
        self.home = Home(self._furnish)
        self.post = Post(self.home)
        self.heard_at = time.time()
        """When something has arrived for the last time (Unix time)."""
        self.under_way = UnderWay()
        self._half = half
        self._servers = servers
        self._delivers_at_once = delivers_at_once
        self._done_at_once = itertools.count(1 << 63)
        """The sequences of what is done here before it is sent. None of a shard is among them."""
        self._failures = Repeats()
        self._emptied: deque[str] = deque()
        self._is_look_due = False
        self._questions = Questions(self.node, self._tell, half.answer)
        self._gaps = Gaps(self._tell_gap)

    # Out

    async def carry(self, parcel: Parcel, here: Callable[[], T] | None) -> T | None:
        """Do what `Relay.carry` says.

        Raises `RelayUnavailable`, `RelayOutcomeUnknown`, or what the body of the parcel is refused
        with, before anything was sent to anybody.
        """
        letter = self._letter(parcel, here)
        result: T | None = self._at_once(letter)
        await self.post.send(letter)
        return result

    def carry_now(self, parcel: Parcel, here: Callable[[], T] | None) -> T | None:
        """Do what `Relay.carry_now` says; a thread waits for a good second at most."""
        letter = self._letter(parcel, here)
        result: T | None = self._at_once(letter)
        self.post.send_now(letter)
        return result

    # In

    async def follow(self, *groups: str) -> None:
        """Do what `Relay.follow` says. Without groups: begin to hear what is for this process.

        Where it is known that there is no link, returns at once; what is missed is a gap then.
        Raises `RelayUnavailable` when Redis does not answer.
        """
        topics = self._topics(groups)
        is_pinned = is_given_up = False

        async def pin(shards: Shards) -> None:
            nonlocal is_pinned
            await shards.follow(topics)
            is_pinned = True
            if is_given_up:
                shards.unfollow(topics)

        def take_back(shards: Shards) -> None:
            nonlocal is_given_up
            is_given_up = True
            if is_pinned:
                shards.unfollow(topics)

        try:
            await self.home.run(pin)
        except BaseException:  # It may run on in its own loop, which then sees to it.
            self.home.call(take_back)
            raise

    def unfollow(self, *groups: str) -> None:
        topics = self._topics(groups)
        shards = self.home.enter()
        if shards is not None:
            shards.unfollow(topics)
        else:
            self.home.call(lambda shards: shards.unfollow(topics))

    def emptied(self, group: str) -> None:
        """Note that nobody here is in a group any more."""
        if self.home.shards is None:
            return  # Nothing is heard.
        self._emptied.append(group)  # First: whoever looks resets the mark before it does.
        if not self._is_look_due:
            self._is_look_due = True
            self.home.call(self._look_at_emptied)

    async def ask(self, to: Destination, what: str, about: Any) -> list[Any]:
        """Return what the other processes answer, or the one of `to`.

        Raises `RelayUnanswered`, `RelayUnavailable` or `RelayOutcomeUnknown`, within two seconds.
        """
        return await self.home.run(partial(self._ask, to, what, about))

    def ask_now(self, to: Destination, what: str, about: Any) -> list[Any]:
        """Do the same in a thread that runs no event loop."""
        return self.home.run_now(partial(self._ask, to, what, about))

    async def stop(self) -> None:
        await self.home.leave()

    # Messages that are not published

    def sealed(self, message: Any) -> bytes:
        """Return a message as bytes; raise what `carry` does for one that cannot be."""
        flags, content = self.sealer.write(Kind.MESSAGE, message)
        return self.sealer.seal(
            Kind.MESSAGE, flags, content, node=self.node_number, sequence=0, at=time.time()
        )

    def unsealed(self, data: bytes) -> Any:
        """Return the message that bytes are; None, and count it, where they are none."""
        try:
            return self.sealer.read(self.sealer.open(data))
        except Garbled as error:
            self.stats.dropped[str(error)] += 1
            return None

    # The state

    def problem(self) -> str | None:
        self.home.enter()  # Who asks for a problem wants to know of one before it does harm.
        shards = self.home.shards or ()
        return next(filter(None, (shard.problem for shard in shards)), None)

    def look(self) -> Stats:
        stats, shards = self.stats, tuple(self.home.shards or ())
        stats.links = sum(len(shard.links) for shard in shards)
        stats.links_wanted = sum(shard.links_wanted for shard in shards)
        stats.subscriptions = sum(len(shard.subscriber) for shard in shards)
        return stats

    # What the shards ask; see `shard.Office`

    def serves(self) -> bool:
        return self._half.serves()

    def is_wanted(self, topic: bytes) -> bool:
        group = self.names.group_of(topic)
        return group is not None and self._half.has_members(group)

    def take(self, topic: bytes, envelope: Envelope) -> None:
        """Do the local half of what has arrived. Whatever that raises is logged and counted."""
        body = self.sealer.read(envelope)
        self.under_way.parcel = envelope.node, envelope.sequence
        try:
            self._take(topic, envelope.kind, body)
        except Exception:  # noqa: BLE001  # It is logged; whatever the others send, we go on.
            self._failed(envelope.kind)
        finally:
            self.under_way.parcel = None

    def deliver(self, letter: Letter) -> None:
        """Do the local half of what was sent here."""
        if letter.sequence:  # It was written, so that others may have it, too.
            self.under_way.parcel = self.node_number, letter.sequence
        try:
            letter.deliver()
        except Exception:  # noqa: BLE001
            self._failed(letter.kind)
        finally:
            self.under_way.parcel = None

    def missed(self, since: float, until: float, why: str) -> None:
        self._gaps.add(since, until, why)

    def kept(self, since: float, until: float) -> asyncio.Future[int]:
        letter = self._letter(Parcel(Kind.MISSED, EVERYONE, [since, until]), None)
        letter.done = told = asyncio.get_running_loop().create_future()
        self.post.drop_in(letter)
        return told

    # Inside

    def _furnish(self) -> Shards:
        """Make the shards, in their loop."""
        self._emptied.clear()
        self._is_look_due = False
        if isinstance(self.names, ClusterNames):
            return ClusterShards(self._servers, self, self.names, self._heard_before, self._end)
        probe = self.names.probe()
        shards = [
            RelayShard(number, server.connect, self, probe)
            for number, server in enumerate(self._servers)
        ]
        return ServerShards(shards, self.names.always(), self._heard_before, self._end)

    async def _end(self) -> None:
        """End what would go on without links: to tell of a gap, and to answer."""
        self._gaps.stop()
        await self._questions.stop()

    def _heard_before(self) -> list[bytes]:
        """Return what was heard in a loop that has ended, and is wanted still: that is a gap."""
        topics = self._topics(self._half.groups_of_members())
        if topics:
            self.missed(self.heard_at, time.time(), "the event loop of the relay has ended")
        return topics

    def _letter(self, parcel: Parcel, here: Callable[[], object] | None) -> Letter:
        flags, content = self.sealer.write(parcel.kind, parcel.body)
        return Letter(self.names.of(parcel.to), parcel.kind, flags, content, here)

    def _at_once(self, letter: Letter) -> Any:
        """Do the local half before anything is sent, where that is how it is done."""
        here = letter.here
        if here is None or not self._delivers_at_once:
            return None
        letter.here, letter.is_done_here = None, True
        letter.sequence = next(self._done_at_once)
        self.under_way.parcel = self.node_number, letter.sequence
        try:
            return here()
        finally:
            self.under_way.parcel = None

    async def _tell(self, kind: Kind, to: Destination, body: Any) -> int:
        """Send what has no local half; return how many processes it has reached."""
        reached: int = await self.post.send(self._letter(Parcel(kind, to, body), None))
        return reached

    async def _ask(self, to: Destination, what: str, about: Any, shards: Shards) -> list[Any]:
        await shards.follow(())  # Answers are for this process.
        return await self._questions.ask(to, what, about, hears_itself=to == EVERYONE)

    def _take(self, topic: bytes, kind: Kind, body: Any) -> None:
        if kind is Kind.ASK:
            self._questions.take_question(body)
        elif kind is Kind.ANSWER:
            self._questions.take_answer(body)
        elif kind is Kind.MISSED:
            since, until = map(float, body)
            if not math.isfinite(since):
                raise ValueError("a gap begins at some time")
            until = min(time.time(), until)  # Whatever the clock of the other says.
            self.missed(min(until, since), until, "another process had no link")
        else:
            group = self.names.group_of(topic)
            to = EVERYONE if group is None else Group(group)
            self._half.on_parcel(Parcel(kind, to, body))

    def _tell_gap(self, gap: Gap) -> None:
        self.stats.gaps += 1
        logger.warning("Messages may be missing: %s, for %.1f s", gap.why, gap.until - gap.since)
        self._half.tell_gap(gap)

    def _topics(self, groups: Iterable[str]) -> list[bytes]:
        return [self.names.of(Group(group)) for group in groups]

    def _look_at_emptied(self, shards: Shards) -> None:
        self._is_look_due = False
        emptied = [self._emptied.popleft() for _ in range(len(self._emptied))]
        shards.look_at(self._topics(emptied))

    def _failed(self, kind: Kind) -> None:
        self.stats.dropped["failed"] += 1
        missed = self._failures.due(kind.name)
        if missed is not None:
            what = "What has arrived from another process could not be done: %s (%d more like it)"
            logger.exception(what, kind.name, missed)
