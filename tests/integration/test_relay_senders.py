"""Programs that only send: from threads, after a fork, and at once before they end."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from arcly_channels.layers import RedisChannelLayer
from arcly_channels.testing.waiting import soon
from tests.integration.relay_sender import EACH, FEW, THREADS
from tests.redis_servers import RedisServer
from tests.servers import ROOT

DEADLINE = 60.0


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def connections(redis: RedisServer) -> int:
    """Return how many connections there have ever been."""
    found = re.search(r"total_connections_received:(\d+)", redis.ask("INFO", "stats"))
    assert found is not None
    return int(found[1])


@pytest.mark.parametrize(
    ("way", "count", "processes"),
    [
        ("threads", THREADS * EACH, 1),
        ("asgiref", THREADS * FEW, 1),
        ("fork", 3 * FEW, 2),
        ("command", FEW, 1),
        ("coroutine", FEW, 1),
    ],
)
async def test_everything_arrives_by_few_connections(
    redis: RedisServer, way: str, count: int, processes: int
) -> None:
    layer = RedisChannelLayer(hosts=[redis.url], capacity=2 * count)
    channel = await layer.new_channel()
    await layer.group_add("room", channel)
    before = connections(redis)
    errors = await run(way, redis.url)
    made = connections(redis) - before - 1  # One is to ask.
    got = [await soon(layer.receive(channel)) for _ in range(count)]
    await layer.group_send("room", {"type": "last"})
    assert await soon(layer.receive(channel)) == {"type": "last"}
    await layer.close()
    assert max(Counter((each["process"], each["number"]) for each in got).values()) == 1
    assert len({each["process"] for each in got}) == processes
    assert made <= 2 * processes
    assert errors == ""


async def run(way: str, *hosts: str) -> str:
    """Run a program that sends, to its end; return what it had to say."""
    started = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "ignore", "-m", "tests.integration.relay_sender", way, *hosts),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), DEADLINE)
    sys.stdout.write(f"\n{way}: {time.monotonic() - started:.2f} s")
    assert process.returncode == 0, output.decode()
    return output.decode()
