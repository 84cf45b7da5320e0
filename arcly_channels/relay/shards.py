"""The servers of a relay, and which of them has what. In one event loop."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b

from arcly_channels.relay.letters import Letter
from arcly_channels.relay.link import Link
from arcly_channels.relay.shard import Dial, RelayShard
from arcly_channels.relay.subscriber import Subscriber


class Shards(ABC):
    """The shards of a process. A name is on one of them, the same for every process.

    `always` is what a process hears as soon as it hears anything. `heard_before` is asked once what
    it should hear besides, and `on_end` run first when all ends.
    """

    def __init__(
        self,
        always: Iterable[bytes],
        heard_before: Callable[[], Iterable[bytes]],
        on_end: Callable[[], Awaitable[None]],
    ) -> None:
        self._always = tuple(always)
        self._heard_before = heard_before
        self._on_end = on_end
        self.is_hearing = False
        """Whether somebody in this process depends on what arrives."""
        self._is_heard = False

    @abstractmethod
    def __iter__(self) -> Iterator[RelayShard]:
        """Return the shards that there are. From any thread."""

    @abstractmethod
    def of(self, name: bytes) -> RelayShard:
        """Return the shard that has a name."""

    @abstractmethod
    def dials(self) -> list[Dial]:
        """Return how to reach each server."""

    def links(self) -> list[Link]:
        """Return the links that there are, but for those of workers."""
        return [link for shard in self for link in shard.links]

    async def dial(self, name: bytes) -> Link:
        """Make a link to the server that has a name; raise what `Server.connect` does."""
        return await self.of(name).dial()

    async def stop(self) -> None:
        """Send what was posted, and end all links."""
        self.is_hearing = self._is_heard = False
        await self._on_end()
        await asyncio.gather(*(shard.stop() for shard in self))

    async def post(self, letter: Letter) -> None:
        """Send a letter, as soon as there is room for it."""
        publisher = self.of(letter.subject).publisher
        if publisher.is_crowded:
            await publisher.room()
            publisher = self.of(letter.subject).publisher
        publisher.post(letter)

    async def follow(self, names: Iterable[bytes]) -> None:
        """Pin topics, and return when all are heard; see `Subscriber.follow`."""
        if not self.is_hearing:
            self._hear()
        first = () if self._is_heard else self._always
        by_hearer: dict[Subscriber, list[bytes]] = defaultdict(list)
        for name in (*first, *names):
            by_hearer[self.hearer_of(name)].append(name)
        if not by_hearer:
            return
        if len(by_hearer) == 1:
            ((hearer, mine),) = by_hearer.items()
            await hearer.follow(mine)
        else:
            await _follow_all(by_hearer)
        self._is_heard = True

    def unfollow(self, names: Iterable[bytes]) -> None:
        """Take back a pin of each topic."""
        for name in names:
            self.of(name).subscriber.unfollow([name])

    def look_at(self, names: Iterable[bytes]) -> None:
        """Let go of topics that nobody wants any more."""
        for name in names:
            self.of(name).subscriber.look_at(name)

    def hearer_of(self, name: bytes) -> Subscriber:
        """Return the subscriber that has a name, with a link that is up or soon will be."""
        shard = self.of(name)
        shard.hear()
        return shard.subscriber

    def _hear(self) -> None:
        self.is_hearing = True
        for name in self._always:
            self.hearer_of(name).pin_for_ever(name)
        for name in self._heard_before():
            self.hearer_of(name).hear(name)


class ServerShards(Shards):
    """The shards of servers that know nothing of each other: a hash says which has a name."""

    def __init__(
        self,
        shards: Sequence[RelayShard],
        always: Iterable[bytes],
        heard_before: Callable[[], Iterable[bytes]],
        on_end: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(always, heard_before, on_end)
        self._shards = shards
        for shard in shards:
            shard.start()

    def __iter__(self) -> Iterator[RelayShard]:
        return iter(self._shards)

    def _hear(self) -> None:
        for shard in self._shards:  # All at once: no join waits for a link to be made.
            shard.hear()
        super()._hear()

    def of(self, name: bytes) -> RelayShard:
        number = len(self._shards)
        return self._shards[0 if number == 1 else _jump(name, number)]

    def dials(self) -> list[Dial]:
        return [shard.dial for shard in self._shards]


async def _follow_all(by_hearer: Mapping[Subscriber, Iterable[bytes]]) -> None:
    """Pin topics of several subscribers: all of them, or none."""
    followed: list[Subscriber] = []

    async def follow(hearer: Subscriber) -> None:
        await hearer.follow(by_hearer[hearer])
        followed.append(hearer)

    try:
        results = await asyncio.gather(*map(follow, by_hearer), return_exceptions=True)
        for error in filter(None, results):
            raise error
    except BaseException:
        for hearer in followed:
            hearer.unfollow(by_hearer[hearer])
        raise


def _jump(name: bytes, number: int) -> int:
    """Return which of `number` shards has a name: where one is added, few names move.

    Lamping and Veach, "A Fast, Minimal Memory, Consistent Hash Algorithm", 2014.
    """
    key = int.from_bytes(blake2b(name, digest_size=8).digest(), "big")
    chosen, jump = -1, 0
    while jump < number:
        chosen = jump
        key = (key * 2862933555777941757 + 1) & 0xFFFFFFFFFFFFFFFF
        jump = int((chosen + 1) * (2**31 / ((key >> 33) + 1)))
    return chosen
