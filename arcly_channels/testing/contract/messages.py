"""Messages: sent and received, their names, their expiry, and whose they are."""

from __future__ import annotations

import re
from typing import Any

import pytest
from asgiref.sync import iscoroutinefunction

from arcly_channels.testing.clock import Clock
from arcly_channels.testing.contract.helpers import (
    MARK,
    OWN,
    MakeLayer,
    fill,
    numbered,
    received,
    waiting,
)
from arcly_channels.testing.waiting import soon, turns

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


# Expiry


async def test_expired_message_is_not_received(make_layer: MakeLayer, gateway_clock: Clock) -> None:
    layer = make_layer(expiry=60)
    await layer.send(OWN, numbered(1))
    gateway_clock.jump(61)
    assert await received(layer, OWN) == []


async def test_message_is_received_until_it_expires(
    make_layer: MakeLayer, gateway_clock: Clock
) -> None:
    layer = make_layer(expiry=60)
    await layer.send(OWN, numbered(1))
    gateway_clock.jump(50)
    await layer.send(OWN, numbered(2))
    gateway_clock.jump(20)
    assert await received(layer, OWN) == [2]


async def test_expired_messages_make_room(make_layer: MakeLayer, gateway_clock: Clock) -> None:
    layer = make_layer(expiry=60, capacity=2)
    await fill(layer, OWN, 2)
    gateway_clock.jump(61)
    await layer.send(OWN, numbered(3))
    assert await received(layer, OWN) == [3]


async def test_expired_messages_make_room_for_a_group_message(
    make_layer: MakeLayer, gateway_clock: Clock
) -> None:
    layer = make_layer(expiry=60, capacity=2)
    await layer.group_add("group", OWN)
    await fill(layer, OWN, 2)
    gateway_clock.jump(61)
    await layer.group_send("group", numbered(3))
    assert await received(layer, OWN) == [3]


async def test_expired_message_costs_no_groups(make_layer: MakeLayer, gateway_clock: Clock) -> None:
    layer = make_layer(expiry=60)
    await layer.group_add("group", OWN)
    await layer.send(OWN, numbered(1))
    gateway_clock.jump(61)
    await layer.group_send("group", numbered(2))
    assert await received(layer, OWN) == [2]


async def test_consumer_that_is_gone_is_out_of_its_groups_when_a_message_has_expired(
    make_layer: MakeLayer, gateway_clock: Clock
) -> None:
    layer = make_layer(expiry=60)
    await layer.group_add("group", OWN)
    await layer.send(OWN, numbered(1))
    await soon(layer.receive(OWN))  # It fails at that, and never asks again.
    await layer.group_send("group", numbered(2))
    gateway_clock.jump(61)
    await layer.group_send("any", MARK)
    assert (dict(layer.groups), layer.counts["dropped_expired"]) == ({}, 1)


async def test_consumer_that_gave_up_waiting_is_out_of_its_groups_when_a_message_has_expired(
    make_layer: MakeLayer, gateway_clock: Clock
) -> None:
    layer = make_layer(expiry=60)
    await layer.group_add("group", OWN)
    receiver = waiting(layer, OWN)
    await turns()
    receiver.cancel()
    await turns()
    await layer.group_send("group", numbered(2))
    gateway_clock.jump(61)
    await layer.group_send("any", MARK)
    assert not dict(layer.groups)


async def test_consumer_that_is_busy_while_messages_expire_stays_in_its_groups(
    make_layer: MakeLayer, gateway_clock: Clock
) -> None:
    layer = make_layer(expiry=5)
    await layer.group_add("group", OWN)
    await layer.send(OWN, numbered(1))
    await soon(layer.receive(OWN))
    for number in range(2, 9):  # 42 seconds.
        await layer.group_send("group", numbered(number))
        gateway_clock.jump(6)
    await layer.group_send("group", numbered(9))
    assert await received(layer, OWN) == [9]


async def test_expired_messages_are_counted(make_layer: MakeLayer, gateway_clock: Clock) -> None:
    layer = make_layer(expiry=60)
    await fill(layer, OWN, 3)
    gateway_clock.jump(61)
    await received(layer, OWN)
    assert layer.counts["dropped_expired"] == 3


async def test_expired_messages_that_nobody_asks_for_are_dropped_and_counted(
    make_layer: MakeLayer, gateway_clock: Clock
) -> None:
    layer = make_layer(expiry=60)
    await fill(layer, OWN, 3)
    gateway_clock.jump(61)
    await layer.group_send("group", MARK)
    assert layer.counts["dropped_expired"] == 3
