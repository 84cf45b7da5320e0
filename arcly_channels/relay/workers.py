"""Channels that workers share: a list in Redis each, of which every message goes to one reader.

A message is pushed with the time at which it expires, by the clock of the server. It is popped for
a reader that waits in this process, and pushed back to where it was if that is gone by then. A
process that dies in between takes it with it: at most once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

from arcly_channels.relay.connector import FIRST_PAUSE, LONGEST_PAUSE, was_cancelled
from arcly_channels.relay.contract import Kind
from arcly_channels.relay.home import Home
from arcly_channels.relay.letters import Letter
from arcly_channels.relay.link import Link, Reply, command
from arcly_channels.relay.post import Post
from arcly_channels.relay.shards import Shards

logger = logging.getLogger(__name__)

POLL = 1
"""Seconds after which a pop that finds nothing ends, so that it can be seen who waits yet."""

ANSWER = 5.0
"""Seconds within which the server must say something."""

_STAMP = 13
"""How many digits a time in milliseconds has, until the year 2286."""

_PUSH = b"""\
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if ARGV[4] ~= '' and not redis.call('SET', KEYS[2], '', 'NX', 'PX', ARGV[3]) then
    return {1, 0}
end
local expired = 0
local first = redis.call('LINDEX', KEYS[1], 0)
while first and tonumber(string.sub(first, 1, 13)) <= now do
    redis.call('LPOP', KEYS[1])
    expired = expired + 1
    first = redis.call('LINDEX', KEYS[1], 0)
end
if redis.call('LLEN', KEYS[1]) >= tonumber(ARGV[2]) then
    return {0, expired}
end
redis.call('RPUSH', KEYS[1], string.format('%013.0f', now + ARGV[3]) .. ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return {1, expired}
"""
"""Pushes a message, unless the list is full, or what the mark stands for was pushed before."""


class _Reader:
    """Who takes what is on one channel, and for how many receivers.

    No more is taken than there are receivers who wait for it: it would be in this process while
    another has time for it.
    """

    def __init__(self) -> None:
        self.waiting = 0
        """How many wait for whom nothing was taken yet."""
        self.served = 0
        """For how many something was taken who have not ended yet."""
        self.is_wanted = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    async def is_needed(self) -> bool:
        """Return whether somebody waits, or does so within a while."""
        self.is_wanted.clear()
        if self.waiting <= 0:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self.is_wanted.wait(), POLL)
        return self.waiting > 0


class Workers:
    """The channels that workers share, as one process sees them. For use in any thread.

    `take` is called with a channel and what was pushed, in the loop of the links, for a reader that
    waits, and returns whether that was a message; `count` with `full` or `expired`, and how many
    messages that was. `expiry` is how many seconds a message is kept.
    """

    def __init__(
        self,
        home: Home,
        post: Post,
        base: bytes,
        *,
        expiry: float,
        take: Callable[[str, bytes], bool],
        count: Callable[[str, int], None],
    ) -> None:
        self._home = home
        self._post = post
        self._base = base
        self._milliseconds = max(1, round(min(expiry, 10**9) * 1000))
        self._take = take
        self._count = count
        self._readers: dict[str, _Reader] = {}
        self._is_ending = False

    # Pushing

    async def push(self, channel: str, data: bytes, capacity: int) -> bool:
        """Put a message on a channel; return False when it is full.

        Raises `RelayUnavailable` or `RelayOutcomeUnknown`.
        """
        return self._learn(await self._post.send(self._letter(channel, data, capacity)))

    def push_now(self, channel: str, data: bytes, capacity: int) -> bool:
        """Do the same in a thread. In a running event loop a full channel is counted only."""
        reply = self._post.send_now(self._letter(channel, data, capacity, on_reply=self._note))
        return True if reply is None else self._learn(reply)

    def push_once(self, channel: str, data: bytes, capacity: int, mark: str) -> None:
        """Put a message on a channel that no process has put there with the same mark."""
        self._post.drop_in(self._letter(channel, data, capacity, mark, on_reply=self._note))

    # Reading

    @contextmanager
    def reading(self, channel: str) -> Iterator[None]:
        """Have what is on a channel taken, as long as this lasts."""
        self._home.enter(stays=True)
        self._home.call(partial(self._begin, channel))
        try:
            yield
        finally:
            self._home.call(partial(self._end, channel))

    async def stop(self) -> None:
        """Take nothing more, and wait until what was taken is in good hands."""
        if self._readers:
            await self._home.run(self._end_all)

    async def clear(self) -> None:
        """Remove every message on every channel, whatever process has pushed it."""
        await self._home.run(self._clear)

    # Inside

    def _list(self, channel: str) -> bytes:
        return b"%bw:{%b}" % (self._base, channel.encode())

    def _letter(
        self,
        channel: str,
        data: bytes,
        capacity: int,
        mark: str = "",
        on_reply: Callable[[Reply], None] | None = None,
    ) -> Letter:
        key = self._list(channel)
        keys = (key, b"%b:%b" % (key, mark.encode()))
        push = command(b"EVAL", _PUSH, 2, *keys, data, capacity, self._milliseconds, mark)
        return Letter(key, Kind.SEND, 0, data, command=push, on_reply=on_reply)

    def _learn(self, reply: Reply) -> bool:
        """Count what has expired; return whether the message was taken."""
        is_taken, expired = reply
        if expired:
            self._count("expired", expired)
        return bool(is_taken)

    def _note(self, reply: Reply) -> None:
        if not self._learn(reply):
            self._count("full", 1)

    def _begin(self, channel: str, shards: Shards) -> None:
        reader = self._readers.get(channel)
        if reader is None:
            reader = self._readers[channel] = _Reader()
            reader.task = asyncio.get_running_loop().create_task(
                self._read(channel, reader, shards)
            )
        reader.waiting += 1
        reader.is_wanted.set()

    def _end(self, channel: str, shards: Shards) -> None:
        reader = self._readers.get(channel)
        if reader is None:
            return
        if reader.served:  # Which of them it is does not matter: each that was served ends once.
            reader.served -= 1
        else:
            reader.waiting -= 1

    async def _end_all(self, shards: Shards) -> None:
        self._is_ending = True
        for reader in self._readers.values():
            reader.is_wanted.set()
        tasks = [reader.task for reader in self._readers.values() if reader.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=POLL + ANSWER)
        self._is_ending = False

    async def _clear(self, shards: Shards) -> None:
        for dial in shards.dials():
            link = await dial()
            try:
                cursor = b"0"
                while True:
                    scan = link.ask(b"SCAN", cursor, b"MATCH", self._base + b"w:*", b"COUNT", 1000)
                    cursor, keys = await asyncio.wait_for(scan, ANSWER)
                    if keys:
                        # One by one: the keys of a cluster are in different slots.
                        deletions = asyncio.gather(*(link.ask(b"DEL", key) for key in keys))
                        await asyncio.wait_for(deletions, ANSWER)
                    if cursor == b"0":
                        break
            finally:
                link.abort()

    async def _read(self, channel: str, reader: _Reader, shards: Shards) -> None:
        """Take messages for whoever waits, and end when for a while nobody did."""
        pause, link = FIRST_PAUSE, None
        try:
            while await reader.is_needed() and not (self._is_ending or was_cancelled()):
                try:
                    if link is None or link.is_lost:
                        link = await shards.dial(self._list(channel))
                    await self._read_one(link, channel, reader)
                    pause = FIRST_PAUSE
                except Exception as error:  # noqa: BLE001  # Told, and tried again.
                    logger.warning("The messages on %s cannot be read: %s", channel, error)
                    if link is not None:
                        link.abort()
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, LONGEST_PAUSE)
        finally:
            del self._readers[channel]  # No await since it was seen that nobody waits.
            if link is not None:
                link.abort()

    async def _read_one(self, link: Link, channel: str, reader: _Reader) -> None:
        key = self._list(channel)
        # Both at once: a message that is here must not wait for what may not come any more.
        asked = asyncio.gather(link.ask(b"BLPOP", key, POLL), link.ask(b"TIME"))
        found, (seconds, microseconds) = await asyncio.wait_for(asked, ANSWER)
        if found is None:
            return
        message: bytes = found[1]
        if int(message[:_STAMP]) <= int(seconds) * 1000 + int(microseconds) // 1000:
            self._count("expired", 1)
        elif reader.waiting > 0:
            if self._take(channel, message[_STAMP:]):
                reader.waiting -= 1
                reader.served += 1
        else:
            await asyncio.wait_for(link.ask(b"LPUSH", key, message), ANSWER)
