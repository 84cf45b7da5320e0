"""Four processes over a Redis Cluster in which slots move and masters change."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Container, Iterator
from itertools import count, islice
from pathlib import Path

import pytest

from arcly_channels.fanout.audience import Group
from arcly_channels.layers import RedisChannelLayer
from arcly_channels.relay.names import ClusterNames, slot_of
from arcly_channels.testing.waiting import soon
from tests.integration.crew import Crew, crew
from tests.integration.forms import Form, forms
from tests.integration.relay_sender import EACH, FEW, THREADS
from tests.integration.test_relay_faults import RATE, address, check
from tests.integration.test_relay_senders import run
from tests.redis_servers import SLOTS, RedisNode, move_slot, redis_cluster

TOPICS = ClusterNames("arcly", "")
"""What groups are called in the cluster."""

OF_FIRST = range(SLOTS // 3)
"""The slots that the first of three masters has."""


@pytest.fixture
def nodes() -> Iterator[list[RedisNode]]:
    with redis_cluster() as nodes:
        yield nodes


@pytest.fixture
def with_replica() -> Iterator[list[RedisNode]]:
    """Three masters, and a replica of the first."""
    with redis_cluster(replicas=1) as nodes:
        yield nodes


def slot_for(room: str) -> int:
    return slot_of(TOPICS.of(Group(room)))


def rooms_in(slots: Container[int], number: int) -> list[str]:
    """Return rooms that are in some slots."""
    rooms = (f"room-{each}" for each in count())
    return list(islice((room for room in rooms if slot_for(room) in slots), number))


async def begin(team: Crew, rooms: list[str]) -> None:
    """Have everybody in rooms, and sending to them; return when all hear all."""
    await team.do("join", rooms=rooms)
    now = time.time()
    await team.do("publish", rooms=rooms, rate=RATE)
    await team.until_all_hear_all(since=now)


# What moves


@forms(Form(times=2), Form(times=10))
async def test_slot_that_moves_makes_a_gap_and_no_duplicate(
    nodes: list[RedisNode], tmp_path: Path, form: Form
) -> None:
    slot = slot_for("room-0")
    moves = []
    async with crew(tmp_path, address(nodes[0]), cluster=True) as team:
        await begin(team, rooms_in([slot], 10))
        for number in range(form.times):
            to = next(node for node in nodes if not node.has(slot))
            await asyncio.to_thread(move_slot, slot, nodes, to)
            moves.append(time.time())
            await team.until_gaps(number + 1)
            await team.until_all_hear_all(since=time.time())
        story = await team.finish()
    check(story, gaps=[form.times] * 4 if form.is_long else None)
    form.bar("recovery from a moved slot", max(map(story.recovery, moves)), 5)


@forms(Form(), Form(rooms=1000))
async def test_node_that_has_no_slots_any_more_is_left(
    nodes: list[RedisNode], tmp_path: Path, form: Form
) -> None:
    slots = [str(OF_FIRST.start), str(OF_FIRST.stop - 1)]
    async with crew(tmp_path, address(nodes[0]), cluster=True) as team:
        await begin(team, rooms_in(OF_FIRST, form.rooms))
        for node in nodes:  # For a moment, nobody has them.
            node.ask("CLUSTER", "DELSLOTSRANGE", *slots)
        nodes[2].ask("CLUSTER", "ADDSLOTSRANGE", *slots)
        moved = time.time()
        await team.until_gaps(1)
        await team.until_all_hear_all(since=moved)
        story = await team.finish()
        listening = nodes[0].ask("CLIENT", "LIST", "TYPE", "pubsub")
    check(story, gaps=[1] * 4 if form.is_long else None)
    assert listening == ""
    form.bar("recovery from a move of all slots", story.recovery(moved), 5)


@forms(Form(), Form())
async def test_replica_that_takes_over_for_a_killed_master_is_found(
    with_replica: list[RedisNode], tmp_path: Path, form: Form
) -> None:
    master, *others = with_replica
    async with crew(tmp_path, address(master), address(others[0]), cluster=True) as team:
        await begin(team, rooms_in(OF_FIRST, form.rooms))
        master.kill()
        others[-1].until("ROLE", says="master")
        promoted = time.time()
        await team.until_gaps(1)
        await team.until_all_hear_all(since=promoted)
        story = await team.finish()
    check(story, gaps=[1] * 4 if form.is_long else None)
    form.bar("recovery after a promotion", story.recovery(promoted), 5)


@forms(Form(), Form())
async def test_replica_that_is_made_the_master_is_found(
    with_replica: list[RedisNode], tmp_path: Path, form: Form
) -> None:
    async with crew(tmp_path, address(with_replica[0]), cluster=True) as team:
        await begin(team, rooms_in(OF_FIRST, form.rooms))
        with_replica[-1].ask("CLUSTER", "FAILOVER")
        asked = time.time()
        await team.until_gaps(1)
        await team.until_all_hear_all(since=asked)
        story = await team.finish()
    check(story, gaps=[1] * 4 if form.is_long else None)
    form.bar("recovery from a failover", story.recovery(asked), 5)


# Programs that only send


@pytest.mark.parametrize(("way", "number"), [("command", FEW), ("threads", THREADS * EACH)])
async def test_what_a_program_sends_arrives_before_it_ends(
    cluster: RedisNode, way: str, number: int
) -> None:
    hosts = [cluster.url, cluster.url]
    layer = RedisChannelLayer(hosts, capacity=2 * number, cluster=True)
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    assert await run(way, *hosts) == ""
    got = [(await soon(layer.receive(channel)))["number"] for _ in range(number)]
    assert sorted(got) == list(range(number))
    await layer.close()
