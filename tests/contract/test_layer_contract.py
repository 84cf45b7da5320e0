"""What every channel layer of this package does: the Channels specification, and our promises."""

from __future__ import annotations

import asyncio
import gc
import re
import threading
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest
from asgiref.sync import iscoroutinefunction
from channels.exceptions import ChannelFull

from arcly_channels.exceptions import SlowConsumer
from arcly_channels.layers.mailbox import Mailbox
from arcly_channels.layers.stall import LOOK, STALL
from tests.contract.conftest import MakeLayer
from tests.waiting import DEADLINE, eventually, soon, turns

PassTime = Callable[[float], None]

MARK = {"type": "mark"}
OWN = "specific.test!own"
"""A channel of one consumer, as the `!` says; the others are for all workers to share."""


def numbered(number: int) -> dict[str, Any]:
    return {"type": "test.message", "number": number}


async def received(layer: Any, channel: str) -> list[Any]:
    """Return everything that waits on a channel, by number or else by type."""
    await layer.send(channel, MARK)
    messages = []
    while (message := await soon(layer.receive(channel))) != MARK:
        messages.append(message.get("number", message["type"]))
    return messages


async def fill(layer: Any, channel: str, number: int) -> None:
    for serial in range(number):
        await layer.send(channel, numbered(serial))


async def overflow_own(layer: Any) -> None:
    """Fill the channel `OWN` of capacity 1 or 2 by group messages with the numbers 0 to 2."""
    await layer.group_add("group", OWN)
    for number in range(3):
        await layer.group_send("group", numbered(number))


async def evict_own(layer: Any, pass_time: PassTime) -> None:
    """Have the full channel `OWN` evicted, which nobody ever reads."""
    await overflow_own(layer)
    pass_time(STALL)
    await layer.group_send("any", MARK)


async def received_by_evicted(layer: Any) -> list[Any]:
    """Return what waits on `OWN` up to the eviction. It takes no mark before it has read that."""
    messages = []
    while True:
        try:
            messages.append((await soon(layer.receive(OWN)))["number"])
        except SlowConsumer:
            return messages


def waiting(layer: Any, channel: str) -> asyncio.Task[Any]:
    return asyncio.create_task(layer.receive(channel))


def run_in_thread(make: Callable[[], Awaitable[object]]) -> threading.Thread:
    """Run what `make` returns in an event loop in a thread of its own."""

    async def run() -> None:
        await make()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    return thread


# Sending and receiving


def test_layer_has_the_groups_and_flush_extensions(layer: Any) -> None:
    assert {"groups", "flush"} <= set(layer.extensions)


@pytest.mark.parametrize(
    "method",
    ["send", "receive", "new_channel", "group_add", "group_discard", "group_send", "flush"],
)
def test_method_is_known_as_async(layer: Any, method: str) -> None:
    assert iscoroutinefunction(getattr(layer, method))


async def test_sent_message_is_received(layer: Any) -> None:
    await layer.send("channel", {"type": "test.message", "text": "hello"})
    assert await soon(layer.receive("channel")) == {"type": "test.message", "text": "hello"}


async def test_receiver_waits_for_a_message(layer: Any) -> None:
    receiver = waiting(layer, "channel")
    await turns()
    await layer.send("channel", numbered(1))
    assert await soon(receiver) == numbered(1)


async def test_messages_keep_their_order(layer: Any) -> None:
    await fill(layer, "channel", 50)
    assert await received(layer, "channel") == list(range(50))


async def test_message_is_received_once(layer: Any) -> None:
    await layer.send("channel", numbered(1))
    await soon(layer.receive("channel"))
    assert await received(layer, "channel") == []


async def test_channels_are_apart(layer: Any) -> None:
    await layer.send("channel-1", numbered(1))
    await layer.send("channel-2", numbered(2))
    assert await received(layer, "channel-2") == [2]


async def test_process_local_channels_are_apart(layer: Any) -> None:
    await layer.send("specific.x!a", numbered(1))
    await layer.send("specific.x!b", numbered(2))
    assert await received(layer, "specific.x!b") == [2]


async def test_channel_name_may_end_at_its_mark(layer: Any) -> None:
    await layer.send("specific.x!", numbered(1))
    assert await received(layer, "specific.x!") == [1]


async def test_sending_leaves_the_message_as_it_is(layer: Any) -> None:
    message = {"type": "test.message", "nested": {"a": [1]}}
    await layer.send(OWN, message)
    assert message == {"type": "test.message", "nested": {"a": [1]}}


async def test_messages_of_any_type_are_carried(layer: Any) -> None:
    message = {"type": "x", "list": [1, None, "é", b"\x00", 1.5, True], "map": {"a": {1: "b"}}}
    await layer.send("channel", message)
    assert await soon(layer.receive("channel")) == message


@pytest.mark.parametrize("message", [None, "text", b"bytes", 1, [("type", "x")], set()])
async def test_message_that_is_no_dict_is_a_type_error(layer: Any, message: Any) -> None:
    with pytest.raises(TypeError):
        await layer.send("channel", message)
    with pytest.raises(TypeError):
        await layer.group_send("group", message)


# Names


async def test_new_channels_are_unique(layer: Any) -> None:
    assert len({await layer.new_channel() for _ in range(1000)}) == 1000


async def test_new_channel_is_of_one_consumer(layer: Any) -> None:
    assert re.fullmatch(r"specific\.[\w.-]+![\w.-]+", await layer.new_channel())


async def test_new_channel_tells_nothing_about_the_next(layer: Any) -> None:
    first, second = [(await layer.new_channel()).partition("!")[2] for _ in "ab"]
    assert min(len(first), len(second)) >= 12
    assert sum(a == b for a, b in zip(first, second, strict=True)) < 8


async def test_new_channel_takes_a_prefix(layer: Any) -> None:
    assert (await layer.new_channel("mine.")).startswith("mine.")


async def test_new_channel_can_be_used(layer: Any) -> None:
    channel = await layer.new_channel()
    await layer.group_add("group", channel)
    await layer.group_send("group", numbered(1))
    assert await received(layer, channel) == [1]


BAD_NAMES = ["", "a b", "a/b", "été", "a" * 100, "a!b!c", 1, None, b"channel"]


@pytest.mark.parametrize("name", BAD_NAMES)
async def test_bad_channel_name_is_a_type_error(layer: Any, name: Any) -> None:
    for refused in (
        layer.send(name, MARK),
        layer.receive(name),
        layer.group_add("group", name),
        layer.group_discard("group", name),
    ):
        with pytest.raises(TypeError):
            await soon(refused)


@pytest.mark.parametrize("name", [*BAD_NAMES, "group!"])
async def test_bad_group_name_is_a_type_error(layer: Any, name: Any) -> None:
    for refused in (
        layer.group_send(name, MARK),
        layer.group_add(name, "channel"),
        layer.group_discard(name, "channel"),
    ):
        with pytest.raises(TypeError):
            await soon(refused)


@pytest.mark.parametrize("name", ["a", "a-b_c.9", "A" * 99])
async def test_valid_name_is_taken_for_channels_and_groups(layer: Any, name: str) -> None:
    await layer.group_add(name, name)
    await layer.group_send(name, numbered(1))
    assert await received(layer, name) == [1]


# Capacity


async def test_full_channel_raises_channel_full(make_layer: MakeLayer) -> None:
    layer = make_layer(capacity=3)
    await fill(layer, "channel", 3)
    with pytest.raises(ChannelFull):
        await layer.send("channel", numbered(3))


async def test_message_that_did_not_fit_is_not_delivered(make_layer: MakeLayer) -> None:
    layer = make_layer(capacity=2)
    await fill(layer, "channel", 2)
    with pytest.raises(ChannelFull):
        await layer.send("channel", numbered(2))
    assert [(await soon(layer.receive("channel")))["number"] for _ in "ab"] == [0, 1]
    assert await received(layer, "channel") == []


async def test_full_channel_has_room_after_a_receive(make_layer: MakeLayer) -> None:
    layer = make_layer(capacity=1)
    await layer.send("channel", numbered(1))
    await soon(layer.receive("channel"))
    await layer.send("channel", numbered(2))


async def test_full_channel_leaves_the_others_alone(make_layer: MakeLayer) -> None:
    layer = make_layer(capacity=1)
    await layer.send("channel-1", numbered(1))
    await layer.send("channel-2", numbered(1))


@pytest.mark.parametrize(
    ("channel", "capacity"),
    [("http.request", 1), ("http.response!abc", 2), ("websocket.send!abc", 3), ("other", 4)],
)
async def test_capacity_of_a_channel_is_that_of_the_first_pattern_that_matches(
    make_layer: MakeLayer, channel: str, capacity: int
) -> None:
    patterns = {"http.request": 1, "http.*": 2, re.compile(r"^websocket.send\!.+"): 3, "http.r*": 9}
    layer = make_layer(capacity=4, channel_capacity=patterns)
    await fill(layer, channel, capacity)
    with pytest.raises(ChannelFull):
        await layer.send(channel, MARK)


# Expiry


async def test_expired_message_is_not_received(make_layer: MakeLayer, pass_time: PassTime) -> None:
    layer = make_layer(expiry=60)
    await layer.send(OWN, numbered(1))
    pass_time(61)
    assert await received(layer, OWN) == []


async def test_message_is_received_until_it_expires(
    make_layer: MakeLayer, pass_time: PassTime
) -> None:
    layer = make_layer(expiry=60)
    await layer.send(OWN, numbered(1))
    pass_time(50)
    await layer.send(OWN, numbered(2))
    pass_time(20)
    assert await received(layer, OWN) == [2]


async def test_expired_messages_make_room(make_layer: MakeLayer, pass_time: PassTime) -> None:
    layer = make_layer(expiry=60, capacity=2)
    await fill(layer, OWN, 2)
    pass_time(61)
    await layer.send(OWN, numbered(3))
    assert await received(layer, OWN) == [3]


async def test_expired_messages_make_room_for_a_group_message(
    make_layer: MakeLayer, pass_time: PassTime
) -> None:
    layer = make_layer(expiry=60, capacity=2)
    await layer.group_add("group", OWN)
    await fill(layer, OWN, 2)
    pass_time(61)
    await layer.group_send("group", numbered(3))
    assert await received(layer, OWN) == [3]


async def test_expired_message_costs_no_groups(make_layer: MakeLayer, pass_time: PassTime) -> None:
    layer = make_layer(expiry=60)
    await layer.group_add("group", OWN)
    await layer.send(OWN, numbered(1))
    pass_time(61)
    await layer.group_send("group", numbered(2))
    assert await received(layer, OWN) == [2]


async def test_consumer_that_is_gone_is_out_of_its_groups_when_a_message_has_expired(
    make_layer: MakeLayer, pass_time: PassTime
) -> None:
    layer = make_layer(expiry=60)
    await layer.group_add("group", OWN)
    await layer.send(OWN, numbered(1))
    await soon(layer.receive(OWN))  # It fails at that, and never asks again.
    await layer.group_send("group", numbered(2))
    pass_time(61)
    await layer.group_send("any", MARK)
    assert (dict(layer.groups), layer.counts["dropped_expired"]) == ({}, 1)


async def test_consumer_that_gave_up_waiting_is_out_of_its_groups_when_a_message_has_expired(
    make_layer: MakeLayer, pass_time: PassTime
) -> None:
    layer = make_layer(expiry=60)
    await layer.group_add("group", OWN)
    receiver = waiting(layer, OWN)
    await turns()
    receiver.cancel()
    await turns()
    await layer.group_send("group", numbered(2))
    pass_time(61)
    await layer.group_send("any", MARK)
    assert not dict(layer.groups)


async def test_consumer_that_is_busy_while_messages_expire_stays_in_its_groups(
    make_layer: MakeLayer, pass_time: PassTime
) -> None:
    layer = make_layer(expiry=5)
    await layer.group_add("group", OWN)
    await layer.send(OWN, numbered(1))
    await soon(layer.receive(OWN))
    for number in range(2, 9):  # 42 seconds.
        await layer.group_send("group", numbered(number))
        pass_time(6)
    await layer.group_send("group", numbered(9))
    assert await received(layer, OWN) == [9]


async def test_expired_messages_are_counted(make_layer: MakeLayer, pass_time: PassTime) -> None:
    layer = make_layer(expiry=60)
    await fill(layer, OWN, 3)
    pass_time(61)
    await received(layer, OWN)
    assert layer.counts["dropped_expired"] == 3


async def test_expired_messages_that_nobody_asks_for_are_dropped_and_counted(
    make_layer: MakeLayer, pass_time: PassTime
) -> None:
    layer = make_layer(expiry=60)
    await fill(layer, OWN, 3)
    pass_time(61)
    await layer.group_send("group", MARK)
    assert layer.counts["dropped_expired"] == 3


# Groups


async def test_group_message_reaches_every_member(layer: Any) -> None:
    for number in range(5):
        await layer.group_add("group", f"channel-{number}")
    await layer.group_send("group", numbered(1))
    assert [await received(layer, f"channel-{number}") for number in range(5)] == [[1]] * 5


async def test_group_message_reaches_only_members(layer: Any) -> None:
    await layer.group_add("group", "member")
    await layer.group_add("other", "stranger")
    await layer.group_send("group", numbered(1))
    assert await received(layer, "stranger") == []


async def test_group_message_wakes_a_receiver(layer: Any) -> None:
    await layer.group_add("group", OWN)
    receiver = waiting(layer, OWN)
    await turns()
    await layer.group_send("group", numbered(1))
    assert await soon(receiver) == numbered(1)


async def test_group_messages_and_others_keep_their_order(layer: Any) -> None:
    await layer.group_add("group", OWN)
    for number in range(0, 20, 2):
        await layer.group_send("group", numbered(number))
        await layer.send(OWN, numbered(number + 1))
    assert await received(layer, OWN) == list(range(20))


async def test_member_that_was_added_twice_gets_one_message(layer: Any) -> None:
    await layer.group_add("group", OWN)
    await layer.group_add("group", OWN)
    await layer.group_send("group", numbered(1))
    assert await received(layer, OWN) == [1]


async def test_channel_in_several_groups_gets_the_messages_of_all(layer: Any) -> None:
    for number in range(3):
        await layer.group_add(f"group-{number}", OWN)
    for number in range(3):
        await layer.group_send(f"group-{number}", numbered(number))
    assert await received(layer, OWN) == [0, 1, 2]


async def test_discarded_member_gets_nothing_more(layer: Any) -> None:
    await layer.group_add("group", OWN)
    await layer.group_discard("group", OWN)
    await layer.group_send("group", numbered(1))
    assert await received(layer, OWN) == []


async def test_discarded_member_keeps_what_it_got_before(layer: Any) -> None:
    await layer.group_add("group", OWN)
    await layer.group_send("group", numbered(1))
    await layer.group_discard("group", OWN)
    assert await received(layer, OWN) == [1]


async def test_channel_that_is_no_member_can_be_discarded(layer: Any) -> None:
    await layer.group_add("group", "member")
    await layer.group_discard("group", "stranger")
    await layer.group_discard("nowhere", "stranger")
    await layer.group_send("group", numbered(1))
    assert await received(layer, "member") == [1]


async def test_group_without_members_takes_messages(layer: Any) -> None:
    await layer.group_send("nobody", numbered(1))


async def test_membership_ends_after_group_expiry(
    make_layer: MakeLayer, pass_time: PassTime
) -> None:
    layer = make_layer(group_expiry=100)
    await layer.group_add("group", OWN)
    pass_time(101)
    await layer.group_send("group", numbered(1))
    assert await received(layer, OWN) == []


async def test_membership_lasts_until_group_expiry(
    make_layer: MakeLayer, pass_time: PassTime
) -> None:
    layer = make_layer(group_expiry=100)
    await layer.group_add("group", OWN)
    pass_time(99)
    await layer.group_send("group", numbered(1))
    assert await received(layer, OWN) == [1]


async def test_adding_again_renews_a_membership(make_layer: MakeLayer, pass_time: PassTime) -> None:
    layer = make_layer(group_expiry=100)
    for _ in range(3):
        await layer.group_add("group", OWN)
        pass_time(60)
    await layer.group_send("group", numbered(1))
    assert await received(layer, OWN) == [1]


# Flushing


async def test_flush_forgets_messages(layer: Any) -> None:
    await fill(layer, "channel", 3)
    await layer.flush()
    assert await received(layer, "channel") == []


async def test_flush_forgets_groups(layer: Any) -> None:
    await layer.group_add("group", OWN)
    await layer.flush()
    await layer.group_send("group", numbered(1))
    assert await received(layer, OWN) == []


async def test_flush_lets_receivers_wait_on(layer: Any) -> None:
    receiver = waiting(layer, "channel")
    await turns()
    await layer.flush()
    await turns()
    await layer.send("channel", numbered(1))
    assert await soon(receiver) == numbered(1)


async def test_flush_forgets_an_eviction(make_layer: MakeLayer, pass_time: PassTime) -> None:
    layer = make_layer(capacity=1)
    await evict_own(layer, pass_time)
    await layer.flush()
    await layer.group_add("group", OWN)
    await layer.group_send("group", numbered(1))
    assert await soon(layer.receive(OWN)) == numbered(1)


async def test_closed_layer_can_be_used(layer: Any) -> None:
    await layer.close()
    await layer.close()
    await layer.send("channel", numbered(1))
    assert await received(layer, "channel") == [1]


# Isolation


async def test_change_by_the_sender_is_not_seen(layer: Any) -> None:
    message: dict[str, Any] = {"type": "x", "nested": {"list": [1]}}
    await layer.send("channel", message)
    message["nested"]["list"].append(2)
    message["more"] = 1
    assert await soon(layer.receive("channel")) == {"type": "x", "nested": {"list": [1]}}


async def test_change_by_the_sender_of_a_group_message_is_not_seen(layer: Any) -> None:
    await layer.group_add("group", OWN)
    message = {"type": "x", "nested": {"list": [1]}}
    await layer.group_send("group", message)
    message["nested"] = {"list": []}
    assert await soon(layer.receive(OWN)) == {"type": "x", "nested": {"list": [1]}}


@pytest.mark.parametrize(
    "value",
    ["flat", [1], {"a": {"b": [1]}}, b"bytes"],
    ids=lambda value: type(value).__name__,
)
async def test_each_member_gets_a_message_of_its_own(layer: Any, value: Any) -> None:
    for channel in ("member-1", "member-2"):
        await layer.group_add("group", channel)
    await layer.group_send("group", {"type": "x", "nested": {"value": value}})
    first = await soon(layer.receive("member-1"))
    first["nested"]["value"] = "changed"
    first["more"] = 1
    second = await soon(layer.receive("member-2"))
    assert second == {"type": "x", "nested": {"value": value}}
    assert type(second["nested"]["value"]) is type(value)


async def test_change_by_a_receiver_is_not_seen_by_the_sender(layer: Any) -> None:
    message: dict[str, Any] = {"type": "x", "nested": {"list": [1]}}
    await layer.send("channel", message)
    (await soon(layer.receive("channel")))["nested"]["list"].append(2)
    assert message["nested"]["list"] == [1]


# Receivers


async def test_two_waiters_of_one_channel_are_both_served(layer: Any) -> None:
    waiters = [waiting(layer, "channel") for _ in "ab"]
    await turns()
    await layer.send("channel", numbered(1))
    await layer.send("channel", numbered(2))
    messages = await soon(asyncio.gather(*waiters))
    assert sorted(message["number"] for message in messages) == [1, 2]


async def test_many_waiters_of_one_channel_are_all_served(layer: Any) -> None:
    waiters = [waiting(layer, "channel") for _ in range(50)]
    await turns()
    await fill(layer, "channel", 50)
    messages = await soon(asyncio.gather(*waiters))
    assert sorted(message["number"] for message in messages) == list(range(50))


async def test_burst_of_group_messages_reaches_a_consumer_that_reads(make_layer: MakeLayer) -> None:
    layer = make_layer(capacity=10)
    await layer.group_add("group", OWN)
    numbers: list[int] = []

    async def read() -> None:
        while len(numbers) < 500:
            numbers.append((await layer.receive(OWN))["number"])

    reading = asyncio.ensure_future(read())
    for number in range(500):
        await layer.group_send("group", numbered(number))
    await soon(reading)
    assert numbers == list(range(500))


async def test_message_goes_to_who_waited_first(layer: Any) -> None:
    first = waiting(layer, "channel")
    await turns()
    await layer.send("channel", numbered(1))
    second = waiting(layer, "channel")  # Before the first has its turn.
    await layer.send("channel", numbered(2))
    assert (await soon(first), await soon(second)) == (numbered(1), numbered(2))


async def test_waiter_that_is_cancelled_takes_no_message_with_it(layer: Any) -> None:
    waiter = waiting(layer, "channel")
    await turns()
    waiter.cancel()
    await turns()
    await layer.send("channel", numbered(1))
    assert await received(layer, "channel") == [1]


async def test_waiter_that_is_cancelled_when_it_was_woken_takes_no_message_with_it(
    layer: Any,
) -> None:
    waiter = waiting(layer, "channel")
    await turns()
    await layer.send("channel", numbered(1))
    waiter.cancel()
    await turns()
    assert await received(layer, "channel") == [1]


async def test_message_of_a_cancelled_waiter_wakes_the_next(layer: Any) -> None:
    cancelled, waiter = waiting(layer, "channel"), waiting(layer, "channel")
    await turns()
    await layer.send("channel", numbered(1))
    cancelled.cancel()
    assert await soon(waiter) == numbered(1)


async def test_receive_with_a_timeout_loses_nothing(layer: Any) -> None:
    for number in range(20):
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(layer.receive("channel"), 0)
        await layer.send("channel", numbered(number))
    assert await received(layer, "channel") == list(range(20))


# Threads and event loops


async def test_message_from_another_thread_wakes_the_receiver_at_once(layer: Any) -> None:
    idle, sent = threading.Event(), list[float]()

    async def send() -> None:
        idle.wait(DEADLINE)
        sent.append(time.perf_counter())
        await layer.send("channel", numbered(1))

    thread = run_in_thread(send)
    receiver = waiting(layer, "channel")
    await turns()
    idle.set()  # Nothing else wakes this loop from here on.
    assert await soon(receiver) == numbered(1)
    assert time.perf_counter() - sent[0] < 1
    thread.join(DEADLINE)


async def test_messages_from_a_thread_keep_their_order_when_the_receiver_times_out_between(
    layer: Any,
) -> None:
    async def receive() -> list[int]:
        with suppress(asyncio.CancelledError):
            await layer.receive(OWN)
        return [(await layer.receive(OWN))["number"] for _ in "ab"]

    receiver = asyncio.create_task(receive())
    await turns()
    receiver.cancel()
    for number in (1, 2):  # With the loop standing still, so that nobody has noticed yet.
        run_in_thread(partial(layer.send, OWN, numbered(number))).join(DEADLINE)
    assert await soon(receiver) == [1, 2]


async def test_group_message_from_another_thread_wakes_the_receiver_at_once(layer: Any) -> None:
    await layer.group_add("group", OWN)
    idle, sent = threading.Event(), list[float]()

    async def send() -> None:
        idle.wait(DEADLINE)
        sent.append(time.perf_counter())
        await layer.group_send("group", numbered(1))

    thread = run_in_thread(send)
    receiver = waiting(layer, OWN)
    await turns()
    idle.set()
    assert await soon(receiver) == numbered(1)
    assert time.perf_counter() - sent[0] < 1
    thread.join(DEADLINE)


async def test_receiver_in_another_loop_is_woken(layer: Any) -> None:
    messages: list[Any] = []
    waits = threading.Event()

    async def receive() -> None:
        asyncio.get_running_loop().call_soon(waits.set)
        messages.append(await soon(layer.receive(OWN)))

    thread = run_in_thread(receive)
    await asyncio.to_thread(waits.wait, DEADLINE)
    await layer.send(OWN, numbered(1))
    await asyncio.to_thread(thread.join, DEADLINE)
    assert messages == [numbered(1)]


async def test_waiter_in_a_loop_that_is_gone_does_not_keep_the_message(layer: Any) -> None:
    async def wait_and_end() -> None:
        waiting(layer, OWN)
        await turns()

    await asyncio.to_thread(run_in_thread(wait_and_end).join, DEADLINE)
    waiter = waiting(layer, OWN)
    await turns()
    await layer.send(OWN, numbered(1))
    assert await soon(waiter) == numbered(1)


async def test_waiter_in_a_loop_that_stopped_does_not_keep_the_messages(layer: Any) -> None:
    async def wait() -> asyncio.Task[Any]:
        waiter = waiting(layer, OWN)
        await turns()
        return waiter

    stopped = asyncio.new_event_loop()
    waiter = await asyncio.to_thread(stopped.run_until_complete, wait())
    await fill(layer, OWN, 2)
    assert [(await soon(layer.receive(OWN)))["number"] for _ in "ab"] == [0, 1]
    waiter.cancel()
    await asyncio.to_thread(stopped.run_until_complete, turns())
    stopped.close()


async def test_messages_in_mailboxes_of_a_stopped_loop_expire(
    make_layer: MakeLayer, pass_time: PassTime
) -> None:
    layer, stopped = make_layer(expiry=60), asyncio.new_event_loop()
    await asyncio.to_thread(stopped.run_until_complete, fill(layer, OWN, 3))
    pass_time(61)
    await layer.send("specific.test!other", MARK)
    assert layer.counts["dropped_expired"] == 3
    stopped.close()


async def test_threads_that_send_at_once_lose_nothing_and_keep_their_order(
    make_layer: MakeLayer,
) -> None:
    layer = make_layer(capacity=10_000)

    async def send(thread: int) -> None:
        for number in range(200):
            await layer.send("channel", {"type": "x", "thread": thread, "number": number})

    threads = [run_in_thread(partial(send, number)) for number in range(4)]
    messages = [await soon(layer.receive("channel")) for _ in range(800)]
    for thread in threads:
        thread.join(DEADLINE)
    for number in range(4):
        mine = [message["number"] for message in messages if message["thread"] == number]
        assert mine == list(range(200))


async def test_receivers_in_two_loops_share_a_channel_and_lose_nothing(
    make_layer: MakeLayer,
) -> None:
    layer = make_layer(capacity=10_000)
    numbers: list[int] = []

    async def receive_all() -> None:
        while (message := await soon(layer.receive("channel")))["type"] != "mark":
            numbers.append(message["number"])

    thread = run_in_thread(receive_all)
    here = asyncio.create_task(receive_all())
    for number in range(500):
        await layer.send("channel", numbered(number))
        await asyncio.sleep(0)
    await layer.send("channel", MARK)
    await layer.send("channel", MARK)
    await soon(here)
    await asyncio.to_thread(thread.join, DEADLINE)
    assert sorted(numbers) == list(range(500))


# Overflow


async def test_group_message_for_a_full_member_raises_nothing(make_layer: MakeLayer) -> None:
    for overflow in ("evict", "drop_newest", "drop_oldest"):
        await overflow_own(make_layer(capacity=1, overflow=overflow))


async def test_full_member_does_not_keep_a_message_from_the_others(make_layer: MakeLayer) -> None:
    layer = make_layer(capacity=2, channel_capacity={"member*": 10})
    for channel in ("member-1", OWN, "member-2"):
        await layer.group_add("group", channel)
    await overflow_own(layer)
    assert await received(layer, "member-1") == await received(layer, "member-2") == [0, 1, 2]


async def test_burst_evicts_nobody(make_layer: MakeLayer) -> None:
    layer = make_layer(capacity=2)
    await overflow_own(layer)
    assert layer.groups["group"] == {OWN}
    assert [(await soon(layer.receive(OWN)))["number"] for _ in range(3)] == [0, 1, 2]


async def test_burst_beyond_ten_times_the_capacity_loses_its_newest_messages(
    make_layer: MakeLayer,
) -> None:
    layer = make_layer(capacity=2)
    await layer.group_add("group", OWN)
    for number in range(25):
        await layer.group_send("group", numbered(number))
    assert layer.counts["dropped_full"] == 5
    assert [(await soon(layer.receive(OWN)))["number"] for _ in range(20)] == list(range(20))


async def test_full_channel_that_is_not_read_for_a_while_is_evicted(
    make_layer: MakeLayer, pass_time: PassTime
) -> None:
    layer = make_layer(capacity=2)
    await evict_own(layer, pass_time)
    assert await received_by_evicted(layer) == [0, 1, 2]


async def test_channel_that_is_not_full_is_never_evicted(
    make_layer: MakeLayer, pass_time: PassTime
) -> None:
    layer = make_layer(capacity=4)
    await evict_own(layer, pass_time)
    assert await received(layer, OWN) == [0, 1, 2]


async def test_full_channel_that_is_read_now_and_then_is_not_evicted(
    make_layer: MakeLayer, pass_time: PassTime
) -> None:
    layer = make_layer(capacity=2)
    await layer.group_add("group", OWN)
    for number in range(50):
        await layer.group_send("group", numbered(number))
        if number % 2:
            await soon(layer.receive(OWN))
        pass_time(STALL / 5)
        await turns()
    assert layer.registry.evictions == 0


async def stop_reading(layer: Any) -> None:
    """Receive one message on `OWN`, of capacity 2 or less, and leave the next three there."""
    await layer.group_add("group", OWN)
    receiver = waiting(layer, OWN)
    await turns()
    await layer.send(OWN, MARK)
    await soon(receiver)
    await overflow_own(layer)


async def test_consumer_that_stops_reading_is_evicted_after_some_looks(
    make_layer: MakeLayer, pass_time: PassTime
) -> None:
    layer, looks = make_layer(capacity=2), 0
    await stop_reading(layer)
    while not layer.registry.evictions:
        pass_time(LOOK)
        await turns()
        looks += 1
    assert STALL / LOOK <= looks <= 2 * STALL / LOOK
    assert await received_by_evicted(layer) == [0, 1, 2]


async def test_consumer_whose_loop_was_blocked_is_not_evicted(
    make_layer: MakeLayer, pass_time: PassTime
) -> None:
    layer = make_layer(capacity=2)
    await stop_reading(layer)
    for _ in range(100):  # The loop does not turn in between.
        pass_time(LOOK)
        layer.group_send_now("any", MARK)
    await turns()
    assert layer.registry.evictions == 0


async def test_consumer_of_a_loop_that_is_gone_is_evicted(
    make_layer: MakeLayer, pass_time: PassTime
) -> None:
    layer = make_layer(capacity=2)
    await asyncio.to_thread(run_in_thread(partial(stop_reading, layer)).join, DEADLINE)
    pass_time(STALL)
    await layer.group_send("any", MARK)
    assert layer.registry.evictions == 1


async def test_evicted_channel_gets_the_eviction_once(
    make_layer: MakeLayer, pass_time: PassTime
) -> None:
    layer = make_layer(capacity=2)
    await evict_own(layer, pass_time)
    await layer.group_send("group", numbered(3))
    await received_by_evicted(layer)
    assert await received(layer, OWN) == []


async def test_evicted_channel_is_out_of_all_groups_at_once(
    make_layer: MakeLayer, pass_time: PassTime
) -> None:
    layer = make_layer(capacity=2)
    await layer.group_add("other", OWN)
    await evict_own(layer, pass_time)
    assert not dict(layer.groups)


async def test_message_for_an_evicted_channel_raises_channel_full(
    make_layer: MakeLayer, pass_time: PassTime
) -> None:
    layer = make_layer(capacity=2)
    await evict_own(layer, pass_time)
    await soon(layer.receive(OWN))
    await soon(layer.receive(OWN))
    with pytest.raises(ChannelFull):
        await layer.send(OWN, numbered(3))


async def test_evicted_channel_joins_no_group_before_it_has_read_of_it(
    make_layer: MakeLayer, pass_time: PassTime
) -> None:
    layer = make_layer(capacity=2)
    await evict_own(layer, pass_time)
    await layer.group_add("group", OWN)
    assert not dict(layer.groups)


async def test_evicted_channel_may_join_again_after_it_has_read_of_it(
    make_layer: MakeLayer, pass_time: PassTime
) -> None:
    layer = make_layer(capacity=2)
    await evict_own(layer, pass_time)
    await received_by_evicted(layer)
    await layer.group_add("group", OWN)
    await layer.group_send("group", numbered(7))
    assert await received(layer, OWN) == [7]


async def test_channel_may_be_evicted_again(make_layer: MakeLayer, pass_time: PassTime) -> None:
    layer = make_layer(capacity=2)
    await evict_own(layer, pass_time)
    assert await received_by_evicted(layer) == [0, 1, 2]
    await overflow_own(layer)
    while layer.registry.evictions < 2:  # Its consumer has a loop now, which is asked.
        pass_time(LOOK)
        await turns()
    assert await received_by_evicted(layer) == [0, 1, 2]


async def test_waiter_reads_of_an_eviction_when_the_backlog_has_expired(
    make_layer: MakeLayer, pass_time: PassTime
) -> None:
    layer = make_layer(capacity=2, expiry=60)
    await evict_own(layer, pass_time)
    pass_time(55)
    assert await received_by_evicted(layer) == []


async def test_eviction_that_nobody_reads_of_is_forgotten(
    make_layer: MakeLayer, pass_time: PassTime
) -> None:
    layer = make_layer(capacity=2, expiry=60)
    await evict_own(layer, pass_time)
    pass_time(61)
    await layer.group_send("any", MARK)
    pass_time(61)
    await layer.group_send("any", MARK)
    assert not layer.channels


async def test_eviction_is_counted_and_logged(
    make_layer: MakeLayer, pass_time: PassTime, caplog: pytest.LogCaptureFixture
) -> None:
    layer = make_layer(capacity=2)
    await evict_own(layer, pass_time)
    assert (layer.registry.evictions, layer.counts["dropped_full"]) == (1, 0)
    assert OWN in caplog.text


async def test_full_channel_of_many_consumers_is_never_evicted(make_layer: MakeLayer) -> None:
    layer = make_layer(capacity=3)
    await layer.group_add("group", "channel")
    for number in range(5):
        await layer.group_send("group", numbered(number))
    await eventually(lambda: layer.counts["dropped_full"] == 2)
    assert [(await soon(layer.receive("channel")))["number"] for _ in range(3)] == [0, 1, 2]
    assert layer.registry.evictions == 0


async def test_full_channel_of_many_consumers_stays_in_its_groups(make_layer: MakeLayer) -> None:
    layer = make_layer(capacity=1)
    await layer.group_add("group", "channel")
    for number in range(3):
        await layer.group_send("group", numbered(number))
    assert dict(layer.groups) == {"group": {"channel"}}


async def test_full_channel_drops_the_newest_if_told_to(make_layer: MakeLayer) -> None:
    layer = make_layer(capacity=2, overflow="drop_newest")
    await overflow_own(layer)
    assert [(await soon(layer.receive(OWN)))["number"] for _ in "ab"] == [0, 1]
    assert await received(layer, OWN) == []


async def test_full_channel_drops_the_oldest_if_told_to(make_layer: MakeLayer) -> None:
    layer = make_layer(capacity=2, overflow="drop_oldest")
    await overflow_own(layer)
    assert [(await soon(layer.receive(OWN)))["number"] for _ in "ab"] == [1, 2]
    assert await received(layer, OWN) == []


@pytest.mark.parametrize("overflow", ["drop_newest", "drop_oldest"])
async def test_dropped_messages_are_counted(make_layer: MakeLayer, overflow: str) -> None:
    layer = make_layer(capacity=1, overflow=overflow)
    await overflow_own(layer)
    assert (layer.counts["dropped_full"], layer.registry.evictions) == (2, 0)


@pytest.mark.parametrize("overflow", ["drop_newest", "drop_oldest"])
async def test_channel_that_drops_stays_in_its_groups(make_layer: MakeLayer, overflow: str) -> None:
    layer = make_layer(capacity=1, overflow=overflow)
    await overflow_own(layer)
    assert dict(layer.groups) == {"group": {OWN}}


@pytest.mark.parametrize("overflow", ["evict", "drop_newest", "drop_oldest"])
async def test_sender_to_a_full_channel_is_told_whatever_the_overflow(
    make_layer: MakeLayer, overflow: str
) -> None:
    layer = make_layer(capacity=1, overflow=overflow)
    await layer.send(OWN, numbered(1))
    with pytest.raises(ChannelFull):
        await layer.send(OWN, numbered(2))


# Sent is received, counted or waiting


def lost(layer: Any) -> int:
    """Return how many messages were counted as having reached nobody."""
    return sum(count for what, count in layer.counts.items() if what.startswith("dropped_"))


@pytest.mark.usefixtures("many_switches")
@pytest.mark.parametrize("overflow", ["evict", "drop_newest", "drop_oldest"])
async def test_every_group_message_of_threads_is_received_or_counted_or_waits(
    make_layer: MakeLayer, overflow: str
) -> None:
    layer, each = make_layer(capacity=3, overflow=overflow), 500
    await layer.group_add("group", OWN)
    received, ended = 0, threading.Event()

    async def send() -> None:
        for number in range(each):
            layer.group_send_now("group", numbered(number))

    async def receive() -> None:
        nonlocal received
        while not ended.is_set():
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(layer.receive(OWN), 0.001)
                received += 1

    receiver = run_in_thread(receive)
    senders = [run_in_thread(send) for _ in range(4)]
    for thread in senders:
        await asyncio.to_thread(thread.join, DEADLINE)
    await soon(layer.group_send("group", numbered(each)))  # Behind all that is on its way.
    ended.set()
    await asyncio.to_thread(receiver.join, DEADLINE)
    assert 4 * each + 1 == received + lost(layer) + layer.channels[OWN].qsize()


async def test_messages_for_an_evicted_channel_are_counted(
    make_layer: MakeLayer, pass_time: PassTime
) -> None:
    layer = make_layer(capacity=2)
    await evict_own(layer, pass_time)
    for number in range(3):
        with suppress(ChannelFull):
            await layer.send(OWN, numbered(number))
    await layer.flush()
    assert layer.counts["dropped_gone"] == 3


@pytest.mark.parametrize("end", ["flush", "clear", "abandon"])
async def test_messages_that_wait_when_a_channel_ends_are_counted(
    make_layer: MakeLayer, pass_time: PassTime, end: str
) -> None:
    layer = make_layer(expiry=60)
    await layer.group_add("group", OWN)
    await layer.send(OWN, MARK)
    await soon(layer.receive(OWN))
    await layer.send(OWN, MARK)
    pass_time(50)
    await layer.send(OWN, MARK)
    if end == "flush":
        await layer.flush()
    elif end == "clear":
        layer.channels.clear()
    else:
        pass_time(15)
        await layer.group_send("any", MARK)
    assert not layer.channels
    assert lost(layer) == 2


# Configuration


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"overflow": "explode"}, "overflow"),
        ({"capacity": 0}, "capacity .* every channel has a bound"),
        ({"expiry": 0}, "expiry"),
        ({"group_expiry": -1}, "group_expiry"),
        ({"group_expiry": None}, r"group_expiry .* float\('inf'\)"),
        ({"channel_capacity": {"http.*": 0}}, r"http\.\*"),
        ({"shards": 0}, "shards"),
    ],
)
def test_option_that_cannot_be_used_is_named(
    make_layer: MakeLayer, config: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        make_layer(**config)


def test_unknown_option_is_a_type_error(make_layer: MakeLayer) -> None:
    with pytest.raises(TypeError, match="misspelt"):
        make_layer(misspelt=1)


def test_extensions_are_a_list_as_those_of_channels(layer: Any) -> None:
    assert isinstance(layer.extensions, list)


async def test_membership_may_be_without_end(make_layer: MakeLayer, pass_time: PassTime) -> None:
    layer = make_layer(group_expiry=float("inf"))
    await layer.group_add("group", OWN)
    pass_time(1e9)
    await layer.group_send("group", numbered(1))
    assert await received(layer, OWN) == [1]


# Views for tests and debugging


async def test_channels_show_what_waits(layer: Any) -> None:
    channels = layer.channels
    await fill(layer, OWN, 2)
    assert dict(channels) == {OWN: (numbered(0), numbered(1))}


async def test_channels_show_no_expired_message(make_layer: MakeLayer, pass_time: PassTime) -> None:
    layer = make_layer(expiry=60)
    await layer.send(OWN, numbered(1))
    pass_time(50)
    await layer.send(OWN, numbered(2))
    pass_time(20)
    assert dict(layer.channels) == {OWN: (numbered(2),)}


async def test_channel_whose_message_has_just_expired_is_there_until_somebody_receives(
    make_layer: MakeLayer, pass_time: PassTime
) -> None:
    layer = make_layer(expiry=10)
    await layer.send(OWN, numbered(1))
    pass_time(10)
    await layer.send("specific.test!other", numbered(2))
    assert len(layer.channels) == 2
    await layer.receive("specific.test!other")
    assert len(layer.channels) == 0


async def test_channels_show_no_channel_whose_messages_have_all_expired(
    make_layer: MakeLayer, pass_time: PassTime
) -> None:
    layer = make_layer(expiry=60)
    await layer.send(OWN, numbered(1))
    pass_time(61)
    assert (len(layer.channels), OWN in layer.channels) == (0, False)


async def test_message_in_the_channels_is_a_copy(layer: Any) -> None:
    await layer.send(OWN, numbered(1))
    layer.channels[OWN][0]["number"] = "changed"
    assert await received(layer, OWN) == [1]


async def test_channel_with_a_receiver_is_shown(layer: Any) -> None:
    receiver = waiting(layer, OWN)
    await turns()
    assert dict(layer.channels) == {OWN: ()}
    receiver.cancel()


async def test_deleted_channel_has_no_messages_and_no_groups(layer: Any) -> None:
    await layer.group_add("group", "channel")
    await layer.send("channel", numbered(1))
    del layer.channels["channel"]
    assert (dict(layer.channels), dict(layer.groups)) == ({}, {})


def test_channel_that_is_not_there_cannot_be_deleted(layer: Any) -> None:
    with pytest.raises(KeyError):
        del layer.channels["channel"]


async def test_groups_show_their_channels(layer: Any) -> None:
    groups = layer.groups
    await layer.group_add("group", "channel-1")
    await layer.group_add("group", "channel-2")
    assert dict(groups) == {"group": {"channel-1", "channel-2"}}


async def test_groups_show_no_expired_membership(
    make_layer: MakeLayer, pass_time: PassTime
) -> None:
    layer = make_layer(group_expiry=60)
    await layer.group_add("group", "channel-1")
    pass_time(50)
    await layer.group_add("group", "channel-2")
    pass_time(20)
    assert dict(layer.groups) == {"group": {"channel-2"}}


async def test_views_show_themselves(layer: Any) -> None:
    await layer.group_add("group", "channel")
    assert repr(layer.groups).startswith("GroupsView({'group': {'channel': ")


async def test_members_of_a_group_are_counted_as_with_channels_own_layer(layer: Any) -> None:
    for channel in ("channel-1", "channel-2"):
        await layer.group_add("group", channel)
    assert len(layer.groups["group"]) == len(layer.groups.get("group", [])) == 2
    assert len(layer.groups.get("nobody", [])) == 0
    assert list(layer.groups["group"].keys()) == ["channel-1", "channel-2"]
    assert ("group" in layer.groups, "nobody" in layer.groups) == (True, False)


async def test_members_of_a_group_have_the_time_at_which_they_joined(layer: Any) -> None:
    before = time.time()
    await layer.group_add("group", "channel")
    assert before <= layer.groups["group"]["channel"] <= time.time()


async def test_groups_that_are_deleted_have_no_members(layer: Any) -> None:
    for group in ("group-1", "group-2", "group-3"):
        await layer.group_add(group, "channel")
    del layer.groups["group-1"]
    assert layer.groups.pop("group-2").keys() == {"channel"}
    assert layer.groups.pop("group-2", None) is None
    assert list(layer.groups) == ["group-3"]
    layer.groups.clear()
    assert layer.groups == {}
    with pytest.raises(KeyError):
        layer.groups.pop("group-1")


async def test_messages_on_a_channel_are_counted_as_those_of_a_queue(layer: Any) -> None:
    await fill(layer, OWN, 2)
    assert layer.channels[OWN].qsize() == 2
    assert not layer.channels[OWN].empty()
    layer.channels.clear()
    assert OWN not in layer.channels


@pytest.mark.usefixtures("many_switches")
async def test_views_can_be_copied_while_threads_change_them(layer: Any) -> None:
    async def change() -> None:
        for number in range(5000):
            await layer.group_add(f"group-{number % 7}", OWN)
            await layer.group_discard(f"group-{number % 7}", OWN)

    thread = run_in_thread(change)
    while thread.is_alive():
        assert set(dict(layer.groups)) <= {f"group-{number}" for number in range(7)}
        assert set(dict(layer.channels)) <= {OWN}


# Nothing stays behind


async def test_channel_is_gone_when_it_was_read(layer: Any) -> None:
    await fill(layer, "channel", 2)
    await received(layer, "channel")
    assert not layer.channels


async def test_channel_is_gone_when_its_receiver_was_cancelled(layer: Any) -> None:
    receiver = waiting(layer, "channel")
    await turns()
    receiver.cancel()
    await turns()
    assert not layer.channels


async def test_channel_and_group_are_gone_when_it_has_left(layer: Any) -> None:
    await layer.group_add("group", OWN)
    await layer.group_discard("group", OWN)
    assert (dict(layer.channels), dict(layer.groups)) == ({}, {})


async def test_channel_and_group_are_gone_when_the_membership_has_ended(
    make_layer: MakeLayer, pass_time: PassTime
) -> None:
    layer = make_layer(group_expiry=60)
    await layer.group_add("group", OWN)
    pass_time(61)
    await layer.group_send("any", MARK)
    assert (dict(layer.channels), dict(layer.groups)) == ({}, {})


def mailboxes() -> int:
    gc.collect()
    return sum(type(thing) is Mailbox for thing in gc.get_objects())


async def test_no_object_stays_behind_after_use(layer: Any) -> None:
    before = mailboxes()
    for _ in range(100):
        channel = await layer.new_channel()
        await layer.group_add("group", channel)
        await layer.group_send("group", numbered(1))
        await soon(layer.receive(channel))
        await layer.group_discard("group", channel)
    assert mailboxes() == before


async def test_no_object_stays_behind_after_evictions(
    make_layer: MakeLayer, pass_time: PassTime
) -> None:
    layer, before = make_layer(capacity=2), mailboxes()
    await evict_own(layer, pass_time)
    await received_by_evicted(layer)
    assert mailboxes() == before


async def test_no_object_stays_behind_when_messages_expire(
    make_layer: MakeLayer, pass_time: PassTime
) -> None:
    layer, before = make_layer(expiry=60, group_expiry=60), mailboxes()
    for number in range(100):
        await layer.send(f"channel-{number}", numbered(1))
        await layer.group_add("group", f"channel-{number}")
    pass_time(61)
    await layer.group_send("any", MARK)
    assert mailboxes() == before


@pytest.mark.usefixtures("many_switches")
async def test_no_object_stays_behind_when_threads_join_and_leave_at_once(layer: Any) -> None:
    before, channels = mailboxes(), [f"specific.test!{number}" for number in range(5)]

    async def join_and_leave(work: Callable[[str, str], Awaitable[None]]) -> None:
        for number in range(20_000):
            await work("group", channels[number % 5])

    works = [layer.group_add, layer.group_discard] * 2
    threads = [run_in_thread(partial(join_and_leave, work)) for work in works]
    for thread in threads:
        await asyncio.to_thread(thread.join)
    for channel in channels:
        await layer.group_discard("group", channel)
    assert mailboxes() == before
