"""The index of rooms and their members."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from arcly_channels.fanout.groups import Groups


@dataclass(frozen=True)
class Member:
    name: str
    lane: str = "lane"


ANN, BOB, EVE = Member("ann"), Member("bob"), Member("eve", lane="other")


@pytest.fixture(params=[1, 8], ids=["one shard", "eight shards"])
def groups(request: pytest.FixtureRequest) -> Groups[Member]:
    return Groups(request.param)


def test_unknown_room_has_no_members(groups: Groups[Member]) -> None:
    assert groups.snapshot("room") == ()


def test_added_member_is_in_the_room(groups: Groups[Member]) -> None:
    groups.add("room", ANN)
    assert list(groups.members("room")) == [ANN]


def test_member_is_in_a_room_once(groups: Groups[Member]) -> None:
    groups.add("room", ANN)
    groups.add("room", ANN)
    groups.discard("room", ANN)
    assert not list(groups.members("room"))


def test_rooms_are_apart(groups: Groups[Member]) -> None:
    groups.add("a", ANN)
    groups.add("b", BOB)
    assert list(groups.members("a")) == [ANN]


def test_snapshot_groups_members_by_lane_in_the_order_they_came(
    groups: Groups[Member],
) -> None:
    for member in (BOB, EVE, ANN):
        groups.add("room", member)
    assert groups.snapshot("room") == (("lane", (BOB, ANN)), ("other", (EVE,)))


def test_snapshot_is_the_same_until_somebody_comes(groups: Groups[Member]) -> None:
    groups.add("room", ANN)
    before = groups.snapshot("room")
    assert groups.snapshot("room") is before
    groups.add("room", BOB)
    assert groups.snapshot("room") is not before


def test_snapshot_is_the_same_until_somebody_leaves(groups: Groups[Member]) -> None:
    groups.add("room", ANN)
    groups.add("room", BOB)
    before = groups.snapshot("room")
    groups.discard("room", EVE)
    assert groups.snapshot("room") is before
    groups.discard("room", BOB)
    assert groups.snapshot("room") == (("lane", (ANN,)),)


def test_snapshot_does_not_change_under_its_reader(groups: Groups[Member]) -> None:
    groups.add("room", ANN)
    members = groups.members("room")
    assert next(members) == ANN
    groups.add("room", BOB)
    assert not list(members)


def test_lane_without_members_is_left_out(groups: Groups[Member]) -> None:
    groups.add("room", ANN)
    groups.add("room", EVE)
    groups.discard("room", ANN)
    assert groups.snapshot("room") == (("other", (EVE,)),)


def test_room_without_members_is_forgotten(groups: Groups[Member]) -> None:
    groups.add("room", ANN)
    groups.discard("room", ANN)
    assert groups.names() == []


def test_leaving_a_room_twice_is_nothing(groups: Groups[Member]) -> None:
    groups.add("room", BOB)
    groups.discard("room", ANN)
    groups.discard("nowhere", ANN)
    assert list(groups.members("room")) == [BOB]


def test_rooms_of_all_shards_are_listed(groups: Groups[Member]) -> None:
    names = {f"room-{number}" for number in range(50)}
    for name in names:
        groups.add(name, ANN)
    assert sorted(groups.names()) == sorted(names)
