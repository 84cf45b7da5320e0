"""Four processes over a Redis whose master changes: what is lost meanwhile is told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from arcly_channels.layers import RedisChannelLayer
from arcly_channels.relay import inspection
from arcly_channels.testing.waiting import eventually
from tests.integration.crew import crew
from tests.integration.forms import Form, forms
from tests.integration.test_relay_faults import address, begin, check
from tests.proxy import Proxy
from tests.redis_servers import MASTER, RedisReplica, RedisSentinel, RedisServer

Pair = tuple[RedisServer, RedisReplica]


@pytest.fixture
def pair() -> Iterator[Pair]:
    """A master and its replica."""
    with RedisServer() as master, RedisReplica(master) as replica:
        yield master, replica


@forms(Form(), Form())
async def test_replica_that_sentinels_promote_is_found(
    pair: Pair, tmp_path: Path, form: Form
) -> None:
    with RedisSentinel(pair[0]) as sentinel:
        host = {"sentinels": [["127.0.0.1", sentinel.port]], "master_name": MASTER}
        async with crew(tmp_path, host) as team:
            await begin(team, form)
            killed = time.time()
            pair[0].kill()
            await team.until_gaps(1)
            await team.until_all_hear_all(since=time.time())
            story = await team.finish()
    check(story, gaps=[1, 1, 1, 1])
    form.bar("recovery after a failover", story.recovery(killed + 0.5), 5)


@forms(Form(), Form())
async def test_master_that_is_none_any_more_is_left(pair: Pair, tmp_path: Path, form: Form) -> None:
    """The name that all of them have leads to the new one, but two are connected to the old one."""
    master, replica = pair
    with Proxy(master.port) as stays, Proxy(master.port) as moves:
        hosts = (*[address(stays)] * 2, address(moves))
        async with crew(tmp_path, *hosts) as team:
            await begin(team, form)
            replica.ask("REPLICAOF", "NO", "ONE")
            master.ask("REPLICAOF", "127.0.0.1", str(replica.port))
            stays.target = moves.target = replica.port
            moves.reset()
            demoted = time.time()
            await team.until_gaps(1)
            await team.until_all_hear_all(since=time.time())
            story = await team.finish()
    check(story)
    assert story.missing("ok")
    form.bar("recovery from a demotion", story.recovery(demoted), 5)


async def test_process_that_only_sends_leaves_a_replica(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "ROLE_INTERVAL", 0.05)
    master, replica = pair
    with Proxy(master.port) as proxy:
        layer = RedisChannelLayer(hosts=[{"address": proxy.url, "client_name": "sender"}])
        await layer.group_send("room", {"type": "message"})
        replica.ask("REPLICAOF", "NO", "ONE")
        master.ask("REPLICAOF", "127.0.0.1", str(replica.port))
        proxy.target = replica.port
        await eventually(lambda: "name=sender" in replica.ask("CLIENT", "LIST"))
        await layer.close()
