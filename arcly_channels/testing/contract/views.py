"""What a layer shows to tests and debugging, and its configuration."""

from __future__ import annotations

import time
from typing import Any

import pytest

from arcly_channels.testing.clock import Clock
from arcly_channels.testing.contract.helpers import (
    OWN,
    MakeLayer,
    fill,
    numbered,
    received,
    run_in_thread,
    waiting,
)
from arcly_channels.testing.waiting import turns

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


async def test_membership_may_be_without_end(make_layer: MakeLayer, gateway_clock: Clock) -> None:
    layer = make_layer(group_expiry=float("inf"))
    await layer.group_add("group", OWN)
    gateway_clock.jump(1e9)
    await layer.group_send("group", numbered(1))
    assert await received(layer, OWN) == [1]


# Views for tests and debugging


async def test_channels_show_what_waits(layer: Any) -> None:
    channels = layer.channels
    await fill(layer, OWN, 2)
    assert dict(channels) == {OWN: (numbered(0), numbered(1))}


async def test_channels_show_no_expired_message(
    make_layer: MakeLayer, gateway_clock: Clock
) -> None:
    layer = make_layer(expiry=60)
    await layer.send(OWN, numbered(1))
    gateway_clock.jump(50)
    await layer.send(OWN, numbered(2))
    gateway_clock.jump(20)
    assert dict(layer.channels) == {OWN: (numbered(2),)}


async def test_channel_whose_message_has_just_expired_is_there_until_somebody_receives(
    make_layer: MakeLayer, gateway_clock: Clock
) -> None:
    layer = make_layer(expiry=10)
    await layer.send(OWN, numbered(1))
    gateway_clock.jump(10)
    await layer.send("specific.test!other", numbered(2))
    assert len(layer.channels) == 2
    await layer.receive("specific.test!other")
    assert len(layer.channels) == 0


async def test_channels_show_no_channel_whose_messages_have_all_expired(
    make_layer: MakeLayer, gateway_clock: Clock
) -> None:
    layer = make_layer(expiry=60)
    await layer.send(OWN, numbered(1))
    gateway_clock.jump(61)
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
    make_layer: MakeLayer, gateway_clock: Clock
) -> None:
    layer = make_layer(group_expiry=60)
    await layer.group_add("group", "channel-1")
    gateway_clock.jump(50)
    await layer.group_add("group", "channel-2")
    gateway_clock.jump(20)
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
