"""A channel against a model of it: whatever is done, nothing is lost that is not counted."""

from __future__ import annotations

import asyncio
import math
import time
from contextlib import suppress
from typing import Any
from unittest import mock

from channels.exceptions import ChannelFull
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from arcly_channels.exceptions import SlowConsumer
from arcly_channels.layers import LocalChannelLayer, mailbox, stall
from arcly_channels.layers.mailbox import BURST

CHANNEL, GROUP = "specific.test!own", "group"
CAPACITY, EXPIRY = 2, 5


class Channel(RuleBasedStateMachine):
    """The model is a list of what waits, with the time at which each expires."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.now = 1000.0
        self.patches: list[Any] = [
            mock.patch.object(time, "monotonic", self.clock),
            mock.patch.object(stall, "STALL", math.inf),  # Evicted is who `evict` says, …
            mock.patch.object(mailbox, "GONE", math.inf),  # … and nobody is given up.
        ]
        for patch in self.patches:
            patch.start()
        self.waiting: list[tuple[int, float]] = []
        self.sent = self.received = self.expired = self.full = self.evictions = 0
        self.is_evicted = False
        self.receivers: list[asyncio.Task[Any]] = []

    @initialize(overflow=st.sampled_from(["evict", "drop_newest", "drop_oldest"]))
    def make(self, overflow: str) -> None:
        self.overflow = overflow
        self.bound = CAPACITY * (BURST if overflow == "evict" else 1)
        self.layer = LocalChannelLayer(capacity=CAPACITY, expiry=EXPIRY, overflow=overflow)
        self.run(self.layer.group_add(GROUP, CHANNEL))

    def teardown(self) -> None:
        for receiver in self.receivers:
            receiver.cancel()
        self.turn()
        self.run(self.layer.close())
        self.loop.close()
        for patch in self.patches:
            patch.stop()

    def clock(self) -> float:
        return self.now

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(work)

    def turn(self) -> None:
        self.run(asyncio.sleep(0))
        self.run(asyncio.sleep(0))

    def drop_expired(self) -> None:
        kept = [each for each in self.waiting if each[1] > self.now]
        self.expired += len(self.waiting) - len(kept)
        self.waiting = kept

    def add(self) -> None:
        """Note that the next message was added, or given to who waits first."""
        self.sent += 1
        if self.receivers:
            receiver = self.receivers.pop(0)
            self.turn()
            assert receiver.result()["number"] == self.sent
            self.received += 1
        else:
            self.waiting.append((self.sent, self.now + EXPIRY))

    @rule()
    def send(self) -> None:
        self.drop_expired()
        message = {"type": "test.message", "number": self.sent + 1}
        if len(self.waiting) < CAPACITY and not self.is_evicted:
            self.layer.send_now(CHANNEL, message)
            self.add()
            return
        try:
            self.layer.send_now(CHANNEL, message)
        except ChannelFull:
            return
        raise AssertionError("there is no room")

    @rule()
    def send_to_group(self) -> None:
        self.drop_expired()
        if self.is_evicted:
            assert GROUP not in self.layer.groups
            return
        self.layer.group_send_now(GROUP, {"type": "test.message", "number": self.sent + 1})
        if len(self.waiting) >= self.bound:
            self.full += 1
            if self.overflow != "drop_oldest":
                self.sent += 1
                return
            del self.waiting[0]
        self.add()

    @rule()
    def receive(self) -> None:
        receiver = self.loop.create_task(self.layer.receive(CHANNEL))
        self.turn()
        self.drop_expired()
        if self.waiting:
            assert receiver.result()["number"] == self.waiting.pop(0)[0]
            self.received += 1
        elif self.is_evicted:
            assert isinstance(receiver.exception(), SlowConsumer)
            self.is_evicted = False
            self.run(self.layer.group_add(GROUP, CHANNEL))
        else:
            assert not receiver.done()
            self.receivers.append(receiver)

    @precondition(lambda self: self.overflow == "evict" and len(self.waiting) >= CAPACITY)
    @rule()
    def evict(self) -> None:
        self.drop_expired()
        lasting = [each for each in self.waiting if each[1] > self.now + stall.LOOK]
        if len(lasting) < CAPACITY or self.is_evicted:
            return
        with suppress(ChannelFull):
            self.layer.send_now(CHANNEL, {"type": "test.message"})  # It is looked at from now on.
        self.now += stall.LOOK
        with mock.patch.object(stall, "STALL", 0):
            self.layer.group_send_now("any", {"type": "test.message"})
            self.turn()
        self.is_evicted = True
        self.evictions += 1
        assert self.layer.registry.evictions == self.evictions

    @precondition(lambda self: self.receivers)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, len(self.receivers) - 1))
        self.receivers.pop(number).cancel()
        self.turn()

    @precondition(lambda self: self.receivers)
    @rule()
    def send_to_a_receiver_that_is_cancelled_at_once(self) -> None:
        self.sent += 1
        self.layer.send_now(CHANNEL, {"type": "test.message", "number": self.sent})
        self.receivers.pop(0).cancel()
        self.turn()
        if self.receivers:
            assert self.receivers.pop(0).result()["number"] == self.sent
            self.received += 1
        else:
            self.waiting.append((self.sent, self.now + EXPIRY))

    @rule(seconds=st.sampled_from([0.5, 2.0, 4.0]))
    def pass_time(self, seconds: float) -> None:
        """Too little, with what follows, for an eviction: that takes more than a message lasts."""
        self.now += seconds

    @rule()
    def flush(self) -> None:
        self.run(self.layer.flush())
        self.run(self.layer.group_add(GROUP, CHANNEL))
        self.turn()
        self.gone()

    def gone(self) -> None:
        """Forget what waits; what had expired may be counted as either."""
        self.expired += len(self.waiting)
        self.waiting = []
        self.is_evicted = False

    @invariant()
    def what_was_sent_is_received_or_counted_or_waits(self) -> None:
        if not hasattr(self, "layer"):
            return
        counts = self.layer.counts
        unread = self.layer.channels.get(CHANNEL, ())
        late = counts["dropped_expired"] + counts["dropped_gone"]
        self.drop_expired()
        assert [each["number"] for each in unread] == [number for number, _ in self.waiting]
        assert counts["dropped_full"] == self.full
        assert late <= self.expired  # What has expired is found when somebody looks.
        assert self.sent == self.received + self.expired + self.full + len(self.waiting)


TestChannel = Channel.TestCase
TestChannel.settings = settings(max_examples=60, stateful_step_count=40)
