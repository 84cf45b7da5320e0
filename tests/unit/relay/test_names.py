"""What topics are called, and in which slot of a cluster they are."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest

from arcly_channels.fanout.audience import EVERYONE, Group
from arcly_channels.relay.contract import Destination, Node
from arcly_channels.relay.names import PARTITIONS, SLOTS, ClusterNames, Names, by_slot, slot_of
from tests.redis_servers import RedisNode

NODE = "0123456789abcdef"
PLACES: list[Destination] = [Group("room-1"), Group("room-2"), Node(NODE), EVERYONE]


@pytest.mark.parametrize("names", [Names("app", NODE), ClusterNames("app", NODE)])
def test_group_is_known_by_its_topic(names: Names) -> None:
    assert [names.group_of(names.of(to)) for to in PLACES] == ["room-1", "room-2", None, None]


def test_topics_of_two_releases_are_the_same() -> None:
    """These names travel: whoever changes them splits a project that is rolled out."""
    names, in_cluster = Names("app", NODE), ClusterNames("app", NODE)
    assert [names.of(to) for to in PLACES] == [
        *(b"app:1:g:room-1", b"app:1:g:room-2", b"app:1:n:0123456789abcdef", b"app:1:c"),
    ]
    assert [in_cluster.of(to) for to in PLACES] == [
        b"app:1:{p165}:g:room-1",
        b"app:1:{p001}:g:room-2",
        b"app:1:{p019}:n:0123456789abcdef",
        b"app:1:{p017}:c",
    ]


def test_slot_is_that_of_the_specification(cluster: RedisNode) -> None:
    for name in ("123456789", "a", "x:{tag}:y", "{}x", "x{}y{z}", "{{a}}", "x{a", "}a{b}", "ä"):
        assert slot_of(name.encode()) == int(cluster.ask("CLUSTER", "KEYSLOT", name)), name


def test_topics_of_one_command_are_in_one_slot() -> None:
    names = ClusterNames("app", NODE)
    topics = [names.of(Group(f"room-{number}")) for number in range(1000)]
    batches = by_slot(topics)
    assert sorted(topic for batch in batches for topic in batch) == sorted(topics)
    assert {len({slot_of(topic) for topic in batch}) for batch in batches} == {1}
    assert len(batches) == PARTITIONS


@pytest.mark.parametrize("masters", [2, 3, 6, 16, 50])
def test_masters_have_as_many_parts_as_each_other(masters: int) -> None:
    names = ClusterNames("app", NODE)
    slots = {slot_of(names.of(Group(f"room-{number}"))) for number in range(5000)}
    parts = Counter(slot * masters // SLOTS for slot in slots)
    assert len(slots) == PARTITIONS
    assert len(parts) == masters
    assert max(parts.values()) - min(parts.values()) <= 2


def test_there_is_a_probe_for_every_slot() -> None:
    probes = ClusterNames("app", NODE).probes()
    assert {slot_of(probe) for probe in islice(probes, 20 * SLOTS)} == set(range(SLOTS))
