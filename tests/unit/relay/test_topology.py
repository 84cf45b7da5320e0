"""Which node has what is asked of one node after the other, until one knows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from arcly_channels.relay.names import SLOTS
from arcly_channels.relay.servers import Server
from arcly_channels.relay.topology import INTERVAL, PAUSE, TIMEOUT, NodeAddress, Owners, Topology
from arcly_channels.testing import Clock
from arcly_channels.testing.waiting import eventually, turns
from tests.unit.relay.obedient import ObedientServer, bulk

HERE, THERE = NodeAddress("one", 7000), NodeAddress("two", 7001)


class Node(Server):
    """A seed, and each node that it names: all are the same server."""

    def __init__(self, server: ObedientServer) -> None:
        super().__init__("redis://one:7000")
        self.server = server

    async def connect(self):  # type: ignore[no-untyped-def]
        return await self.server.dial()


@pytest.fixture
def node(server: ObedientServer) -> Node:
    return Node(server)


@pytest.fixture
def learned() -> list[Owners]:
    return []


@pytest.fixture
async def topology(node: Node, learned: list[Owners], no_pauses: None) -> AsyncIterator[Topology]:
    def learn(owners: Owners) -> bool:
        learned.append(owners)
        return learned[-2:-1] != [owners]

    topology = Topology([node], learn)
    await eventually(lambda: node.server.wires)
    yield topology
    await topology.stop()


def slots(*ranges: tuple[int, int, bytes, int]) -> bytes:
    """Return what a node answers: which slots belong to which master."""
    entries = [
        b"*3\r\n:%d\r\n:%d\r\n*2\r\n%b:%d\r\n" % (first, last, bulk(host), port)
        for first, last, host, port in ranges
    ]
    return b"*%d\r\n%b" % (len(entries), b"".join(entries))


BEFORE = slots((0, SLOTS - 1, b"one", 7000))
AFTER = slots((0, 99, b"one", 7000), (100, SLOTS - 1, b"two", 7001))


async def let_pass(gateway_clock: Clock, seconds: float) -> None:
    gateway_clock.jump(seconds)
    await asyncio.sleep(0.001)  # The timer of the loop has its turn.
    await turns()


async def test_owners_are_learned(
    topology: Topology, server: ObedientServer, learned: list[Owners]
) -> None:
    server.say(slots((0, 99, b"one", 7000), (100, 199, b"", 7001)))
    await eventually(lambda: topology.has_asked.is_set())
    (owners,) = learned
    assert (owners[0], owners[99]) == (HERE, HERE)
    assert owners[100] == owners[199] == NodeAddress("one", 7001)  # It does not know its name.
    assert owners[200] is None
    assert topology.problem is None


async def test_it_is_asked_again_now_and_then_and_at_once_in_doubt(
    topology: Topology, server: ObedientServer, learned: list[Owners], gateway_clock: Clock
) -> None:
    server.say(BEFORE)
    await turns()
    await let_pass(gateway_clock, PAUSE)
    assert len(server.commands) == 1
    await let_pass(gateway_clock, INTERVAL)
    assert len(server.commands) == 2
    server.say(BEFORE)
    await turns()
    await let_pass(gateway_clock, PAUSE)
    topology.doubt()
    await turns()
    assert server.commands == [[b"CLUSTER", b"SLOTS"]] * 3
    server.say(AFTER)
    await turns()
    assert learned[-1][SLOTS - 1] == THERE


async def test_time_of_the_last_answer_is_known(topology: Topology, server: ObedientServer) -> None:
    answered = time.time()
    server.say(BEFORE)
    await eventually(lambda: topology.sure_until)
    assert topology.sure_until < answered


async def test_node_that_knows_nothing_new_in_doubt_is_left(
    topology: Topology, server: ObedientServer, node: Node, gateway_clock: Clock
) -> None:
    server.say(AFTER)
    await turns()
    await let_pass(gateway_clock, PAUSE)
    topology.doubt()
    await turns()
    server.say(AFTER)
    await turns()
    topology.doubt()
    await let_pass(gateway_clock, PAUSE)
    assert len(server.wires) == 2


async def test_node_that_does_not_answer_is_left(
    topology: Topology, server: ObedientServer, gateway_clock: Clock
) -> None:
    await let_pass(gateway_clock, TIMEOUT)
    assert topology.problem == "TimeoutError"
    await let_pass(gateway_clock, PAUSE)
    await eventually(lambda: len(server.wires) == 2)
    server.say(BEFORE)
    await eventually(lambda: topology.problem is None)


async def test_server_that_is_of_no_cluster_is_a_problem(
    topology: Topology, server: ObedientServer
) -> None:
    server.say(b"-ERR This instance has cluster support disabled\r\n")
    await eventually(lambda: topology.problem)
    assert "leave out cluster=True" in (topology.problem or "")
