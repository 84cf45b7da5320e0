"""Receivers: in one loop, in several, in threads; and nothing is lost between them."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from arcly_channels.testing.clock import Clock
from arcly_channels.testing.contract.helpers import (
    MARK,
    OWN,
    MakeLayer,
    fill,
    numbered,
    received,
    run_in_thread,
    waiting,
)
from arcly_channels.testing.waiting import DEADLINE, soon, turns

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
    # It may have it already, where sending takes a while.
    taken = [] if waiter.cancelled() else [(await soon(waiter))["number"]]
    assert taken + await received(layer, "channel") == [1]


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
    make_layer: MakeLayer, gateway_clock: Clock
) -> None:
    layer, stopped = make_layer(expiry=60), asyncio.new_event_loop()
    await asyncio.to_thread(stopped.run_until_complete, fill(layer, OWN, 3))
    gateway_clock.jump(61)
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
