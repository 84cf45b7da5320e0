"""What the topics of a project are called in Redis, and which slot of a cluster a name is in."""

from __future__ import annotations

from binascii import crc_hqx
from collections.abc import Iterator
from itertools import count, groupby
from zlib import crc32

from arcly_channels.fanout.audience import EVERYONE, Group
from arcly_channels.relay.contract import Destination, Node

SLOTS = 16384
"""How many slots a cluster has."""

PARTITIONS = 128
"""How many parts the topics of a project in a cluster have. What is in one part is in one slot, and
is heard by one command. With fewer, nodes of a large cluster would have very different shares."""


class Names:
    """The topics of a project, as seen by the process that has the node id `node`."""

    def __init__(self, prefix: str, node: str) -> None:
        self.base = f"{prefix}:1:".encode()
        """What all names in Redis begin with."""
        self.node = node
        self._groups = self.base + b"g:"
        self._everyone = self.base + b"c"

    def of(self, to: Destination) -> bytes:
        """Return the topic for a destination."""
        if isinstance(to, Group):
            return self._groups + to.name.encode()
        return self.base + f"n:{to.id}".encode() if isinstance(to, Node) else self._everyone

    def group_of(self, topic: bytes) -> str | None:
        """Return the group that a topic is for; None where it is for no group."""
        if not topic.startswith(self._groups):
            return None
        return topic[len(self._groups) :].decode()

    def always(self) -> list[bytes]:
        """Return what this process hears as soon as it hears anything."""
        return [self.of(EVERYONE), self.of(Node(self.node))]

    def probe(self) -> bytes:
        """Return the topic by which this process sees that what it sends arrives."""
        return self.base + f"p:{self.node}".encode()


class ClusterNames(Names):
    """The same in a cluster, where a tag says which slot a topic is in: `<prefix>:1:{p042}:g:…`."""

    def __init__(self, prefix: str, node: str) -> None:
        super().__init__(prefix, node)
        self._tags = _even_tags()
        self._start = len(self.base) + len("{p000}:")

    def of(self, to: Destination) -> bytes:
        topic = super().of(to)[len(self.base) :]
        return b"%b{%b}:%b" % (self.base, self._tags[crc32(topic) % PARTITIONS], topic)

    def group_of(self, topic: bytes) -> str | None:
        if not topic.startswith(b"g:", self._start):
            return None
        return topic[self._start + len("g:") :].decode()

    def probes(self) -> Iterator[bytes]:
        """Return topics for probes: there is one in every slot, sooner or later."""
        for number in count():
            yield b"%b{%d}:p:%b" % (self.base, number, self.node.encode())


def slot_of(name: bytes) -> int:
    """Return the slot of a name, as the specification of Redis Cluster says: that of its tag."""
    start = name.find(b"{") + 1
    end = name.find(b"}", start) if start else -1
    return crc_hqx(name[start:end] if end > start else name, 0) % SLOTS


def by_slot(names: list[bytes]) -> list[list[bytes]]:
    """Return the names of each slot."""
    return [list(some) for _, some in groupby(sorted(names, key=slot_of), slot_of)]


def _even_tags() -> list[bytes]:
    """Return a tag for each part, in slots as far from each other as can be.

    The nodes of a cluster have slots in a row, as a rule. So each has as many parts as the others.
    """
    tags: dict[int, bytes] = {}
    for number in range(1000):
        tag = b"p%03d" % number
        tags.setdefault(slot_of(tag) * PARTITIONS // SLOTS, tag)
    return [tags[part] for part in range(PARTITIONS)]
