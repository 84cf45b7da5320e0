"""The servers of a relay, and which of them has what. In one event loop."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from hashlib import blake2b

from arcly_channels.relay.letters import Letter
from arcly_channels.relay.link import Link
from arcly_channels.relay.shard import RelayShard


class Shards:
    """All shards of a process. A name is on one of them, the same for every process.

    `always` is what a process hears as soon as it hears anything. `heard_before` is asked once what
    it should hear besides, and `on_end` run first when all ends.
    """

    def __init__(
        self,
        shards: Sequence[RelayShard],
        always: Iterable[bytes],
        heard_before: Callable[[], Iterable[bytes]],
        on_end: Callable[[], Awaitable[None]],
    ) -> None:
        self._shards = shards
        self._always = tuple(always)
        self._heard_before = heard_before
        self._on_end = on_end
        self.is_hearing = False
        """Whether somebody in this process depends on what arrives."""
        self._is_heard = False
        for shard in shards:
            shard.start()

    def __iter__(self) -> Iterator[RelayShard]:
        return iter(self._shards)

    def links(self) -> list[Link]:
        """Return the links that there are, but for those of workers."""
        return [link for shard in self._shards for link in shard.links]

    async def stop(self) -> None:
        """Send what was posted, and end all links."""
        self.is_hearing = self._is_heard = False
        await self._on_end()
        await asyncio.gather(*(shard.stop() for shard in self._shards))

    def of(self, name: bytes) -> RelayShard:
        """Return the shard that has a name."""
        number = len(self._shards)
        return self._shards[0 if number == 1 else _jump(name, number)]

    async def post(self, letter: Letter) -> None:
        """Send a letter, as soon as there is room for it."""
        publisher = self.of(letter.subject).publisher
        if publisher.is_crowded:
            await publisher.room()
        publisher.post(letter)

    async def follow(self, names: Iterable[bytes]) -> None:
        """Pin topics, and return when all are heard; see `Subscriber.follow`."""
        if not self.is_hearing:
            self._hear()
        first = () if self._is_heard else self._always
        by_shard = self._by_shard([*first, *names])
        if not by_shard:
            return
        if len(by_shard) == 1:
            ((shard, mine),) = by_shard.items()
            await shard.subscriber.follow(mine)
        else:
            follow = (shard.subscriber.follow(mine) for shard, mine in by_shard.items())
            await asyncio.gather(*follow)
        self._is_heard = True

    def _hear(self) -> None:
        self.is_hearing = True
        for shard in self._shards:
            shard.hear()
        for name in self._always:
            self.of(name).subscriber.pin_for_ever(name)
        for name in self._heard_before():
            self.of(name).subscriber.hear(name)

    def unfollow(self, names: Iterable[bytes]) -> None:
        """Take back a pin of each topic."""
        for shard, mine in self._by_shard(names).items():
            shard.subscriber.unfollow(mine)

    def look_at(self, names: Iterable[bytes]) -> None:
        """Let go of topics that nobody wants any more."""
        for name in names:
            self.of(name).subscriber.look_at(name)

    def _by_shard(self, names: Iterable[bytes]) -> dict[RelayShard, list[bytes]]:
        by_shard: dict[RelayShard, list[bytes]] = defaultdict(list)
        for name in names:
            by_shard[self.of(name)].append(name)
        return by_shard


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
