"""One connection to a Redis server: commands go out in batches, and replies come in their order.

redis-py has made the connection and said who we are; from then on it is ours. Its own way to read
costs ten times as much for each message: `benchmarks/relay.py`.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import hiredis

Reply = Any
"""What Redis says: bytes, a number, None, a list of these, or an exception."""

Refusal: type[Exception] = hiredis.ReplyError
"""What a server says of a command that it does not obey: it has done nothing."""

OnReply = Callable[[Reply], None]


class Link(asyncio.Protocol):
    """A connection, which belongs to the running event loop.

    What arrives and answers no command is given to `on_push`. When the connection is lost, every
    command that has no answer is given an exception for one, and `on_lost` is called, once.
    """

    def __init__(self, transport: asyncio.Transport, keep: object) -> None:
        self.on_push: OnReply = _ignore
        self.on_lost: Callable[[], None] = _nothing
        self._last_byte = time.monotonic()
        self.is_lost = False
        self._transport = transport
        self._keep = keep  # The writer of before would close it when it goes.
        self._reader = hiredis.Reader()
        self._expected: deque[OnReply] = deque()

    @property
    def silence(self) -> float:
        """For how many seconds nothing has arrived."""
        return time.monotonic() - self._last_byte

    def write(self, data: bytes, replies: Iterable[OnReply] = ()) -> None:
        """Send commands, and who takes the reply to each; none for those that are not answered."""
        self._expected.extend(replies)
        self._transport.write(data)

    async def ask(self, *words: bytes | str | int) -> Reply:
        """Send one command, and return the reply to it; raise what it says went wrong."""
        answered: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()

        def take(reply: Reply) -> None:
            if not answered.done():
                answered.set_result(reply)

        if self.is_lost:
            raise ConnectionResetError("the connection is lost")
        self.write(command(*words), [take])
        reply = await answered
        if isinstance(reply, Exception):
            raise reply
        return reply

    def abort(self) -> None:
        """End the connection now; what was not sent is lost."""
        self._transport.abort()

    def let_go(self) -> None:
        """Give up, in a forked child, the parent's connection, which the parent goes on using.

        As long as a child has it too, it does not end for the server when the parent ends it. The
        transport is not asked: it would tell the parent's event loop, by way of the kernel.
        """
        with suppress(OSError):
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, self._transport.get_extra_info("socket").fileno(), inheritable=False)
            os.close(nowhere)

    # asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        self._last_byte = time.monotonic()
        self._reader.feed(data)
        try:
            while (reply := self._reader.gets()) is not False:
                if self._expected:
                    self._expected.popleft()(reply)
                else:
                    self.on_push(reply)
        except hiredis.ProtocolError:
            self.abort()  # Whoever that is, it is no Redis.

    def connection_lost(self, error: Exception | None) -> None:
        self.is_lost = True
        lost = ConnectionResetError(str(error or "the server has closed the connection"))
        expected, self._expected = self._expected, deque()
        for take in expected:
            take(lost)
        self.on_lost()


def command(*words: bytes | str | int) -> bytes:
    """Return a command as it is sent (RESP 2)."""
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        raw = word if isinstance(word, bytes) else str(word).encode()
        parts.append(b"$%d\r\n%b\r\n" % (len(raw), raw))
    return b"".join(parts)


def _ignore(reply: Reply) -> None:
    pass


def _nothing() -> None:
    pass
