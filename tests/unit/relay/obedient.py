"""A server that takes links, and answers what a test says, when it says so."""

from __future__ import annotations

import asyncio
from typing import Any

import hiredis

from arcly_channels.relay.link import Link


class Wire(asyncio.Transport):
    """One end of a connection whose other end is a test: it keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.link: Link | None = None

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))

    def abort(self) -> None:
        asyncio.get_running_loop().call_soon(self.cut)

    def cut(self) -> None:
        """Have the connection be lost."""
        if self.link is not None and not self.link.is_lost:
            self.link.connection_lost(None)


class ObedientServer:
    """Where links lead to. `refuses` is what it says to whoever wants one, if anything."""

    def __init__(self) -> None:
        self.refuses: Exception | None = None
        self.wires: list[Wire] = []

    @property
    def wire(self) -> Wire:
        """The end of the last link."""
        return self.wires[-1]

    @property
    def commands(self) -> list[list[bytes]]:
        """All that came by the last link, as the words of each command."""
        reader = hiredis.Reader()
        reader.feed(b"".join(self.wire.written))
        return list(iter(reader.gets, False))

    async def dial(self) -> Link:
        if self.refuses is not None:
            raise self.refuses
        wire = Wire()
        wire.link = Link(wire, None)
        self.wires.append(wire)
        return wire.link

    def say(self, *replies: bytes) -> None:
        """Send replies by the last link, as they stand in the protocol."""
        assert self.wire.link is not None
        self.wire.link.data_received(b"".join(replies))


def array(*items: bytes | int) -> bytes:
    """Return an array of the protocol."""
    parts = [b"*%d\r\n" % len(items)]
    for item in items:
        parts.append(b":%d\r\n" % item if isinstance(item, int) else bulk(item))
    return b"".join(parts)


def bulk(item: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(item), item)
