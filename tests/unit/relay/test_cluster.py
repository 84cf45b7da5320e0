"""The layer over a Redis Cluster: each node has its part, and what is refused is said."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from arcly_channels.exceptions import RelayUnavailable
from arcly_channels.fanout.audience import Group
from arcly_channels.layers import RedisChannelLayer
from arcly_channels.relay.names import slot_of
from arcly_channels.testing.waiting import eventually, soon
from tests.redis_servers import RedisNode, RedisServer, move_slot, redis_cluster
from tests.servers import free_port

MakeLayer = Callable[..., RedisChannelLayer]

MESSAGE = {"type": "message"}


@pytest.fixture(scope="module")
def nodes() -> Iterator[list[RedisNode]]:
    """A cluster in which slots may be moved: whoever does names which it is about."""
    with redis_cluster() as nodes:
        yield nodes


@pytest.fixture
async def make() -> AsyncIterator[MakeLayer]:
    """Makes layers of one project."""
    prefix, made = secrets.token_hex(4), list[RedisChannelLayer]()

    def make_one(*hosts: str, cluster: bool = True) -> RedisChannelLayer:
        made.append(RedisChannelLayer(hosts, prefix, cluster=cluster))
        return made[-1]

    yield make_one
    for layer in made:
        await soon(layer.close())


# The nodes


async def test_each_node_has_its_part(nodes: list[RedisNode], make: MakeLayer) -> None:
    one, two = make(nodes[0].url), make(nodes[2].url)
    channel = await one.new_channel()
    for number in range(64):
        await one.group_add(f"room-{number}", channel)
    pattern = f"{one.relay.names.base.decode()}*:g:*"
    topics = [node.ask("PUBSUB", "SHARDCHANNELS", pattern).split() for node in nodes]
    assert sum(map(len, topics)) == 64
    assert min(map(len, topics)) > 10
    for number in range(64):
        await two.group_send(f"room-{number}", MESSAGE)
        assert await soon(one.receive(channel)) == MESSAGE


async def test_process_that_only_sends_has_links_to_nodes_that_it_sends_to(
    nodes: list[RedisNode], make: MakeLayer
) -> None:
    layer = make(nodes[0].url)
    await layer.group_send("room", MESSAGE)
    assert layer.relay.look().links == layer.relay.look().links_wanted == 1


async def test_seed_that_is_gone_is_passed_over(nodes: list[RedisNode], make: MakeLayer) -> None:
    gone = f"redis://127.0.0.1:{free_port()}"
    for _ in range(4):  # Each begins with any of them.
        await soon(make(gone, nodes[0].url).group_send("room", MESSAGE))


async def test_links_are_put_to_the_test_on_each_node(
    nodes: list[RedisNode], make: MakeLayer
) -> None:
    layer = make(nodes[0].url)
    for number in range(16):
        await layer.relay.follow(f"room-{number}")
    shards = list(layer.relay.home.shards or ())
    assert len(shards) == 3
    before = layer.relay.look().parcels_in
    await eventually(lambda: layer.relay.look().parcels_in >= before + 3)
    probes = {slot_of(shard.probe) * 3 // 16384 for shard in shards}
    assert probes == {0, 1, 2}


async def test_flush_removes_what_workers_have_on_every_node(
    nodes: list[RedisNode], make: MakeLayer
) -> None:
    layer = make(nodes[0].url)
    for number in range(64):
        await layer.send(f"work-{number}", MESSAGE)
    assert all(node.ask("DBSIZE") != "0" for node in nodes)
    await layer.flush()
    assert [node.ask("DBSIZE") for node in nodes] == ["0", "0", "0"]


# What moves


async def test_worker_channel_moves_with_what_is_on_it(
    nodes: list[RedisNode], make: MakeLayer
) -> None:
    layer = make(nodes[0].url)
    slot = slot_of(b"{work}")
    await layer.send("work", MESSAGE)
    await move(slot, nodes)
    assert await soon(layer.receive("work")) == MESSAGE
    waiting = asyncio.create_task(layer.receive("work"))
    await asyncio.sleep(0.1)
    await move(slot, nodes)
    await layer.send("work", {"type": "next"})
    assert await soon(waiting) == {"type": "next"}


async def test_message_for_a_slot_that_has_moved_arrives_once(
    nodes: list[RedisNode], make: MakeLayer
) -> None:
    one, two = make(nodes[0].url), make(nodes[0].url)
    channel = await one.new_channel()
    await one.group_add("moves", channel)
    await two.group_send("moves", {"type": "before"})
    topic = topic_of(one, "moves")
    to = await move(slot_of(topic), nodes)
    await eventually(lambda: to.ask("PUBSUB", "SHARDNUMSUB", topic.decode()).endswith("1"))
    for kind in ("next", "last"):
        await two.group_send("moves", {"type": kind})
    got = [(await soon(one.receive(channel)))["type"] for _ in range(3)]
    assert got == ["before", "next", "last"]


async def test_join_of_a_group_whose_slot_has_moved_is_acknowledged_by_its_new_owner(
    nodes: list[RedisNode], make: MakeLayer
) -> None:
    one, two = make(nodes[0].url), make(nodes[0].url)
    channel = await one.new_channel()
    await two.group_send("joined", MESSAGE)
    await one.group_send("joined", MESSAGE)
    await move(slot_of(topic_of(one, "joined")), nodes)
    await one.group_add("joined", channel)
    await two.group_send("joined", MESSAGE)
    assert await soon(one.receive(channel)) == MESSAGE


def topic_of(layer: RedisChannelLayer, group: str) -> bytes:
    return layer.relay.names.of(Group(group))


async def move(slot: int, nodes: list[RedisNode]) -> RedisNode:
    """Give a slot to another node, and return that."""
    to = next(node for node in nodes if not node.has(slot))
    await asyncio.to_thread(move_slot, slot, nodes, to)
    return to


# What cannot be


async def test_cluster_that_is_taken_for_a_single_server_says_what_to_do(
    cluster: RedisNode, make: MakeLayer, caplog: pytest.LogCaptureFixture
) -> None:
    layer = make(cluster.url, cluster=False)
    with caplog.at_level(logging.WARNING), pytest.raises(RelayUnavailable, match="cluster=True"):
        await soon(layer.group_send("room", MESSAGE))
    assert "cluster=True" in caplog.text
    ((what, why),) = layer.problems()
    assert what == "relay"
    assert "cluster=True" in why


async def test_single_server_that_is_taken_for_a_cluster_says_what_to_do(
    redis: RedisServer, make: MakeLayer, caplog: pytest.LogCaptureFixture
) -> None:
    layer = make(redis.url)
    expected = "leave out cluster=True"
    with caplog.at_level(logging.WARNING), pytest.raises(RelayUnavailable, match=expected):
        await soon(layer.group_send("room", MESSAGE))
    assert expected in caplog.text
    ((what, why),) = layer.problems()
    assert what == "relay"
    assert expected in why


@pytest.mark.parametrize(
    "config",
    [
        {"hosts": ["unix:///run/redis.sock"]},
        {"hosts": [{"sentinels": [("10.0.0.5", 26379)], "master_name": "mymaster"}]},
        {"prefix": "{app}"},
    ],
)
def test_what_no_cluster_can_have_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="cluster"):
        RedisChannelLayer(**config, cluster=True)
