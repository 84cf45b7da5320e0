"""Groups: who gets what is sent to them, and for how long."""

from __future__ import annotations

from typing import Any

from arcly_channels.testing.clock import Clock
from arcly_channels.testing.contract.helpers import (
    OWN,
    MakeLayer,
    evict_own,
    fill,
    numbered,
    received,
    waiting,
)
from arcly_channels.testing.waiting import soon, turns

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
    make_layer: MakeLayer, gateway_clock: Clock
) -> None:
    layer = make_layer(group_expiry=100)
    await layer.group_add("group", OWN)
    gateway_clock.jump(101)
    await layer.group_send("group", numbered(1))
    assert await received(layer, OWN) == []


async def test_membership_lasts_until_group_expiry(
    make_layer: MakeLayer, gateway_clock: Clock
) -> None:
    layer = make_layer(group_expiry=100)
    await layer.group_add("group", OWN)
    gateway_clock.jump(99)
    await layer.group_send("group", numbered(1))
    assert await received(layer, OWN) == [1]


async def test_adding_again_renews_a_membership(
    make_layer: MakeLayer, gateway_clock: Clock
) -> None:
    layer = make_layer(group_expiry=100)
    for _ in range(3):
        await layer.group_add("group", OWN)
        gateway_clock.jump(60)
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


async def test_flush_forgets_an_eviction(make_layer: MakeLayer, gateway_clock: Clock) -> None:
    layer = make_layer(capacity=1)
    await evict_own(layer, gateway_clock)
    await layer.flush()
    await layer.group_add("group", OWN)
    await layer.group_send("group", numbered(1))
    assert await soon(layer.receive(OWN)) == numbered(1)


async def test_closed_layer_can_be_used(layer: Any) -> None:
    await layer.close()
    await layer.close()
    await layer.send("channel", numbered(1))
    assert await received(layer, "channel") == [1]
