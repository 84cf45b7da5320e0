"""The index of rooms and their members."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from arcly_channels.fanout.groups import Membership


@dataclass(frozen=True)
class Member:
    name: str
    lane: str = "lane"


ANN, BOB, EVE = Member("ann"), Member("bob"), Member("eve", lane="other")


@pytest.fixture(params=[1, 8], ids=["one shard", "eight shards"])
def membership(request: pytest.FixtureRequest) -> Membership[Member]:
    return Membership(request.param)


def test_unknown_room_has_no_members(membership: Membership[Member]) -> None:
    assert membership.snapshot("room") == ()


def test_added_member_is_in_the_room(membership: Membership[Member]) -> None:
    membership.add("room", ANN)
    assert list(membership.members("room")) == [ANN]


def test_member_is_in_a_room_once(membership: Membership[Member]) -> None:
    membership.add("room", ANN)
    membership.add("room", ANN)
    membership.discard("room", ANN)
    assert not list(membership.members("room"))


def test_rooms_are_apart(membership: Membership[Member]) -> None:
    membership.add("a", ANN)
    membership.add("b", BOB)
    assert list(membership.members("a")) == [ANN]


def test_snapshot_groups_members_by_lane_in_the_order_they_came(
    membership: Membership[Member],
) -> None:
    for member in (BOB, EVE, ANN):
        membership.add("room", member)
    assert membership.snapshot("room") == (("lane", (BOB, ANN)), ("other", (EVE,)))


def test_snapshot_is_the_same_until_somebody_comes(membership: Membership[Member]) -> None:
    membership.add("room", ANN)
    before = membership.snapshot("room")
    assert membership.snapshot("room") is before
    membership.add("room", BOB)
    assert membership.snapshot("room") is not before


def test_snapshot_is_the_same_until_somebody_leaves(membership: Membership[Member]) -> None:
    membership.add("room", ANN)
    membership.add("room", BOB)
    before = membership.snapshot("room")
    membership.discard("room", EVE)
    assert membership.snapshot("room") is before
    membership.discard("room", BOB)
    assert membership.snapshot("room") == (("lane", (ANN,)),)


def test_snapshot_does_not_change_under_its_reader(membership: Membership[Member]) -> None:
    membership.add("room", ANN)
    members = membership.members("room")
    assert next(members) == ANN
    membership.add("room", BOB)
    assert not list(members)


def test_lane_without_members_is_left_out(membership: Membership[Member]) -> None:
    membership.add("room", ANN)
    membership.add("room", EVE)
    membership.discard("room", ANN)
    assert membership.snapshot("room") == (("other", (EVE,)),)


def test_room_without_members_is_forgotten(membership: Membership[Member]) -> None:
    membership.add("room", ANN)
    membership.discard("room", ANN)
    assert membership.rooms() == []


def test_leaving_a_room_twice_is_nothing(membership: Membership[Member]) -> None:
    membership.add("room", BOB)
    membership.discard("room", ANN)
    membership.discard("nowhere", ANN)
    assert list(membership.members("room")) == [BOB]


def test_rooms_of_all_shards_are_listed(membership: Membership[Member]) -> None:
    names = {f"room-{number}" for number in range(50)}
    for name in names:
        membership.add(name, ANN)
    assert sorted(membership.rooms()) == sorted(names)
