"""Whatever joins, leaves and losses come in whatever order: what is said to be heard is heard.

A server as Redis is one takes commands in their order, when a step says so, and the steps come from
Hypothesis.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import hiredis
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arcly_channels.relay.subscriber import LINGER, Subscriber
from arcly_channels.relay.topics import CLASSIC, Hearing
from arcly_channels.testing.waiting import turns
from tests.unit.relay.obedient import ObedientServer, array

NAMES = [b"one", b"two"]
STEPS = (
    *("follow", "serve", "unfollow", "linger") * 3,  # In this order it is all of a topic's life.
    *("cancel", "want", "unwant", "turn", "cut"),
)


class Redis(ObedientServer):
    """Subscribes, and says so, in the order of the commands that each link has brought."""

    def __init__(self) -> None:
        super().__init__()
        self.subscribed: set[bytes] = set()
        self._reader, self._taken = hiredis.Reader(), 0

    async def dial(self) -> Any:
        self.subscribed.clear()
        self._reader, self._taken = hiredis.Reader(), 0
        return await super().dial()

    def serve(self) -> None:
        """Take all commands that have come by the last link, and answer them."""
        if not self.wires or self.wire.link is None or self.wire.link.is_lost:
            return
        for data in self.wire.written[self._taken :]:
            self._reader.feed(data)
        self._taken = len(self.wire.written)
        for verb, *names in iter(self._reader.gets, False):
            change = self.subscribed.add if verb == b"SUBSCRIBE" else self.subscribed.discard
            for name in names:
                change(name)
                self.say(array(verb.lower(), name, len(self.subscribed)))


class Story:
    """What a process does with two topics, and what it may rely on."""

    def __init__(self, pass_time: Callable[[float], None]) -> None:
        self.server = Redis()
        self.wanted: set[bytes] = set()
        self.pins: Counter[bytes] = Counter()
        self.joins: list[tuple[bytes, asyncio.Task[None]]] = []
        self.gaps = self.losses = 0
        self._pass_time = pass_time
        self.subscriber = Subscriber(
            self.server.dial,
            CLASSIC,
            on_message=lambda name, data: None,
            is_wanted=self.wanted.__contains__,
            on_lost=lambda: None,
            on_return=self._on_return,
        )
        self.subscriber.start()

    def _on_return(self, since: float, why: str) -> None:
        self.gaps += 1

    async def do(self, step: str, name: bytes) -> None:
        await getattr(self, f"_{step}")(name)
        self._settle()
        for topic in NAMES:
            if self.subscriber.state_of(topic) is Hearing.HEARD:
                assert topic in self.server.subscribed

    def _settle(self) -> None:
        """Note which joins have come to an end."""
        for name, join in [each for each in self.joins if each[1].done()]:
            self.joins.remove((name, join))
            if not join.cancelled() and join.exception() is None:
                self.pins[name] += 1

    async def _follow(self, name: bytes) -> None:
        self.joins.append((name, asyncio.ensure_future(self.subscriber.follow([name]))))
        await asyncio.sleep(0)

    async def _unfollow(self, name: bytes) -> None:
        if self.pins[name]:
            self.pins[name] -= 1
            self.subscriber.unfollow([name])

    async def _cancel(self, name: bytes) -> None:
        for _, join in self.joins:
            join.cancel()
            with suppress(asyncio.CancelledError):
                await join

    async def _want(self, name: bytes) -> None:
        """Be a member of a group: only ever while it is followed."""
        if self.pins[name]:
            self.wanted.add(name)

    async def _unwant(self, name: bytes) -> None:
        self.wanted.discard(name)
        self.subscriber.look_at(name)

    async def _serve(self, name: bytes) -> None:
        self.server.serve()
        await turns(3)

    async def _turn(self, name: bytes) -> None:
        await turns(1)

    async def _linger(self, name: bytes) -> None:
        self._pass_time(LINGER)
        await turns(3)

    async def _cut(self, name: bytes) -> None:
        if self.subscriber.connector.link is not None:
            self.losses += 1
            self.server.wire.cut()

    async def end(self) -> None:
        """Let all come to rest, and hold what is heard then against what is to be heard."""
        await self._cancel(b"")
        self._settle()
        for _ in range(6):
            await turns(5)
            self.server.serve()
            self._pass_time(LINGER)
        await turns(5)
        self.server.serve()
        kept = {name for name in NAMES if self.pins[name] or name in self.wanted}
        assert self.server.subscribed == kept
        assert {name for name in NAMES if self.subscriber.state_of(name)} == kept
        assert self.gaps <= self.losses
        await self.subscriber.stop()


@settings(max_examples=800)
@given(
    st.lists(st.tuples(st.sampled_from(STEPS), st.sampled_from(NAMES)), min_size=10, max_size=80)
)
def test_what_is_said_to_be_heard_is_heard_and_nothing_else_in_the_end(
    steps: list[tuple[str, bytes]],
) -> None:
    async def tell() -> None:
        real, passed = time.monotonic, 0.0

        def pass_time(seconds: float) -> None:
            nonlocal passed
            passed += seconds

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(time, "monotonic", lambda: real() + passed)
            patch.setattr(random, "uniform", lambda low, high: low)
            story = Story(pass_time)
            await turns(3)
            for step, name in steps:
                await story.do(step, name)
            await story.end()

    asyncio.run(tell())
