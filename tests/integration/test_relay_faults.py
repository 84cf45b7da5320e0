"""Four processes over a Redis that fails: what is lost is told, and nothing comes twice.

Each message says who has sent it, its number there, and its room; each process writes down what it
gets, what became of what it has sent, and its gaps. `make faults` runs the long forms, and tells
how long each recovery took.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.crew import DEADLINE, Crew, Story, crew
from tests.integration.forms import Form, forms
from tests.proxy import Proxy
from tests.redis_servers import RedisServer

RATE = 50
"""How many messages each process sends a second."""


@pytest.fixture
def redis() -> Iterator[RedisServer]:
    with RedisServer() as server:
        yield server


def address(server: RedisServer | Proxy) -> dict[str, str]:
    return {"address": server.url}


def names(number: int) -> list[str]:
    return [f"room-{each}" for each in range(number)]


async def begin(team: Crew, form: Form, *, padding: int = 0) -> None:
    """Have everybody in all rooms, and sending to them; return when all hear all."""
    rooms = names(form.rooms)
    await team.do("join", rooms=rooms)
    now = time.time()
    await team.do("publish", rooms=rooms, rate=RATE, padding=padding)
    await team.until_all_hear_all(since=now)


def check(story: Story, *, gaps: list[int] | None = None) -> None:
    """Hold what always holds against what was found, and how many gaps each was told of."""
    if gaps is not None:
        assert [len(each) for each in story.gaps] == gaps
    assert story.duplicates() == []
    assert story.ghosts() == []
    assert story.disorders() == []
    assert story.lost("ok") == []


@forms(Form(seconds=8, rooms=200), Form(seconds=120, rooms=1000))
async def test_everything_arrives_once_and_in_one_order(
    redis: RedisServer, tmp_path: Path, form: Form
) -> None:
    rooms = names(form.rooms)
    async with crew(tmp_path, address(redis)) as team:
        await team.do("join", rooms=rooms[::2], who=["gateway"])
        await team.do("churn", rooms=rooms, rate=100)
        await team.do("publish", rooms=rooms, rate=4 * RATE)
        await asyncio.sleep(form.seconds)
        story = await team.finish()
    assert story.due("ok")
    assert story.outcomes().keys() == {"ok"}
    check(story, gaps=[0, 0, 0, 0])


@forms(Form(times=2), Form(times=10))
async def test_server_that_is_killed_makes_one_gap_for_each_process(
    redis: RedisServer, tmp_path: Path, form: Form
) -> None:
    restarts = []
    async with crew(tmp_path, address(redis)) as team:
        await begin(team, form)
        for number in range(form.times):
            redis.kill()
            await asyncio.sleep(2)
            redis.start()
            restarts.append(time.time())
            await team.until_gaps(number + 1)
            await team.until_all_hear_all(since=restarts[-1])
        story = await team.finish()
    check(story, gaps=[form.times] * 4)
    assert story.missing("ok")  # They were in the gaps.
    form.bar("recovery from a kill", max(map(story.recovery, restarts)), 1.5)


@forms(Form(times=1, seconds=3), Form(times=1, seconds=8))
async def test_server_that_is_stopped_for_a_while_loses_nothing(
    redis: RedisServer, tmp_path: Path, form: Form
) -> None:
    async with crew(tmp_path, address(redis)) as team:
        await begin(team, form)
        for seconds in {3.0, form.seconds}:
            await team.do("lateness")
            redis.pause()
            await asyncio.sleep(seconds)
            redis.resume()
            lateness = max(await team.do("lateness"))
            assert lateness < seconds / 2
            form.bar("lateness of a loop meanwhile", lateness, 0.05)
            await team.until_all_hear_all(since=time.time())
            form.bar("lateness of a loop afterwards", max(await team.do("lateness")), 0.25)
        story = await team.finish()
    assert story.lost("ok", "unknown") == []
    assert story.longest_call() < 2.5
    assert story.outcomes()["unknown"]
    check(story, gaps=[0, 0, 0, 0])
    form.bar("longest call", story.longest_call(), 1.2)


@forms(Form(times=3), Form(times=20))
async def test_subscriber_that_is_cut_off_is_back_at_once(
    redis: RedisServer, tmp_path: Path, form: Form
) -> None:
    cuts = []
    async with crew(tmp_path, address(redis)) as team:
        await begin(team, form)
        for number in range(form.times):
            redis.ask("CLIENT", "KILL", "ID", subscribers(redis)["worker-0"]["id"])
            cuts.append(time.time())
            await team.until_gaps(number + 1, team.workers[0])
            await team.until_all_hear_all(since=cuts[-1])
        story = await team.finish()
    check(story, gaps=[form.times, 0, 0, 0])
    form.bar("recovery from a cut", max(map(story.recovery, cuts)), 0.5)


@forms(Form(), Form())
async def test_black_hole_is_found(redis: RedisServer, tmp_path: Path, form: Form) -> None:
    with Proxy(redis.port) as proxy:
        async with crew(tmp_path, address(proxy), address(redis)) as team:
            await begin(team, form)
            assert proxy.swallow(lambda passage: passage.has_subscribed) == 1
            swallowed = time.time()
            await team.until_gaps(1, team.workers[0])
            await team.until_all_hear_all(since=swallowed)
            story = await team.finish()
    check(story, gaps=[1, 0, 0, 0])
    assert story.missing("ok")
    form.bar("recovery from a black hole", story.recovery(swallowed), 3)


async def test_black_hole_is_not_found_without_a_probe(redis: RedisServer, tmp_path: Path) -> None:
    """The control: what the test before this one sees is the work of the probe."""
    with Proxy(redis.port) as proxy:
        async with crew(tmp_path, address(proxy), address(redis), probe=math.inf) as team:
            await begin(team, Form())
            proxy.swallow(lambda passage: passage.has_subscribed)
            await asyncio.sleep(5)
            await team.do("rest")
            story = await team.story()
    assert story.gaps == [[], [], [], []]
    assert {receiver.worker for receiver, _ in story.lost("ok")} == {0}


@forms(Form(times=20), Form(times=200))
@pytest.mark.parametrize("delay", [0.005, 0.05])
async def test_nothing_is_lost_after_a_join_over_a_slow_link(
    redis: RedisServer, tmp_path: Path, delay: float, form: Form
) -> None:
    with Proxy(redis.port) as proxy:
        proxy.delay_up = proxy.delay_down = delay
        async with crew(tmp_path, address(proxy), address(redis), size=2) as team:
            far, near = team.workers
            for room in names(form.times):
                await far.do("join", rooms=[room])
                await near.do("send", room=room)
            story = await team.finish()
    assert len(story.due("ok")) == 2 * form.times
    check(story, gaps=[0, 0])


@pytest.mark.parametrize(
    ("limit", "form"),
    [
        pytest.param("1mb 0 0", Form(), id="short"),
        pytest.param("32mb 8mb 60", Form(is_long=True), id="long", marks=pytest.mark.long),
    ],
)
async def test_process_that_stands_still_is_told_of_one_gap(
    tmp_path: Path, limit: str, form: Form
) -> None:
    with RedisServer("--client-output-buffer-limit", *f"pubsub {limit}".split()) as redis:
        async with crew(tmp_path, address(redis)) as team:
            await begin(team, form, padding=20_000)
            stopped = team.workers[0]
            stopped.pause()
            await until(lambda: "worker-0" not in subscribers(redis))
            await asyncio.sleep(1)
            stopped.resume()
            woken = time.time()
            await team.until_gaps(1, stopped)
            await team.until_all_hear_all(since=woken)
            story = await team.finish()
    check(story, gaps=[1, 0, 0, 0])
    assert {receiver.worker for receiver, _ in story.missing("ok")} == {0}
    form.bar("recovery after waking", story.recovery(woken), 3)


@forms(Form(rooms=2_000), Form(rooms=20_000))
async def test_all_rooms_are_heard_again(redis: RedisServer, tmp_path: Path, form: Form) -> None:
    rooms = names(form.rooms)
    async with crew(tmp_path, address(redis)) as team:
        await team.do("join", rooms=rooms, who=["plain"])
        redis.kill()
        await asyncio.sleep(1)
        redis.start()
        restarted = time.time()
        await until(lambda: subscriptions(redis) >= 4 * form.rooms)
        seconds = time.time() - restarted
        await team.until_gaps(1)
        for room in rooms[:: form.rooms // 100]:
            await team.workers[0].do("send", room=room)
        story = await team.finish()
    assert len(story.due("ok")) == 400
    check(story, gaps=[1, 1, 1, 1])
    form.bar(f"{form.rooms} rooms in 4 processes heard again", seconds, 3)


def subscribers(redis: RedisServer) -> dict[str, dict[str, str]]:
    """Return what Redis knows of the connections that listen, by the names of the workers."""
    lines = redis.ask("CLIENT", "LIST", "TYPE", "pubsub").splitlines()
    clients = [dict(word.split("=", 1) for word in line.split()) for line in lines]
    return {client["name"]: client for client in clients}


def subscriptions(redis: RedisServer) -> int:
    return sum(int(each["sub"]) for each in subscribers(redis).values())


async def until(fact: Callable[[], bool]) -> None:
    """Return once a fact holds that takes a process to find out; fail at the deadline."""
    deadline = time.monotonic() + DEADLINE
    while not await asyncio.to_thread(fact):
        assert time.monotonic() < deadline, "it did not happen in time"
