"""The links live in one event loop: that of the main thread, or one that a thread is for."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from arcly_channels.exceptions import RelayUnavailable
from arcly_channels.relay import home as homes
from arcly_channels.relay.home import Home
from arcly_channels.relay.link import Link
from arcly_channels.relay.servers import Server
from arcly_channels.testing.waiting import DEADLINE, eventually, soon
from tests.redis_servers import RedisServer
from tests.unit.test_fork import succeeds_in_child

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


class Furniture:
    """What a home has in its loop, in place of shards: it knows where it is, and when it ended."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.thread = threading.current_thread()
        self.calls: list[str] = []
        self.linked: list[Link] = []

    def links(self) -> list[Link]:
        return self.linked

    async def stop(self) -> None:
        assert asyncio.get_running_loop() is self.loop
        self.calls.append("stop")

    @property
    def has_ended(self) -> bool:
        return self.calls[-1:] == ["stop"]


made: list[Furniture] = []
"""What the home of a test has made."""


def furnish() -> Any:
    made.append(Furniture())
    return made[-1]


@pytest.fixture
def home() -> Iterator[Home]:
    made.clear()
    home = Home(furnish)
    yield home
    asyncio.run(home.leave())


@pytest.fixture
async def thread() -> AsyncIterator[Callable[..., Any]]:
    """Calls a function in a thread of its own, which has no event loop, and waits for it."""
    with ThreadPoolExecutor(1) as pool:

        async def call(function: Callable[..., Any], *given: Any) -> Any:
            running = asyncio.get_running_loop().run_in_executor(pool, function, *given)
            return await soon(running)

        yield call


async def where(shards: Any) -> threading.Thread:
    """Return the thread in which this runs, which is that of the shards."""
    assert asyncio.get_running_loop() is shards.loop
    return threading.current_thread()


def is_own(thread: threading.Thread) -> bool:
    """Return whether a thread is one that is for the links."""
    return thread.name == "arcly-relay" and thread.daemon


# Where it is


async def test_loop_of_the_main_thread_becomes_the_home(home: Home) -> None:
    shards: Any = home.enter()
    assert shards.loop is asyncio.get_running_loop()
    assert home.enter() is shards
    assert await soon(home.run(where)) is threading.main_thread()


def test_process_without_a_loop_gets_a_thread(home: Home) -> None:
    assert home.enter() is None
    assert is_own(home.run_now(where))
    assert len(made) == 1


def test_loop_of_another_thread_does_not_become_the_home(home: Home) -> None:
    with ThreadPoolExecutor(1) as pool:
        for _ in range(2):  # As `async_to_sync` makes one for each call.
            assert is_own(pool.submit(asyncio.run, home.run(where)).result(DEADLINE))
    assert len(made) == 1


async def test_thread_asks_the_loop_of_the_main_thread(home: Home, thread: Any) -> None:
    home.enter()
    assert await thread(home.run_now, where) is threading.main_thread()


async def test_main_loop_takes_over_from_a_thread_that_only_sends(home: Home, thread: Any) -> None:
    await thread(home.enter)
    assert is_own(made[0].thread)
    home.enter()
    assert made[1].thread is threading.main_thread()
    await eventually(lambda: made[0].has_ended and not made[0].thread.is_alive())


async def test_main_loop_leaves_a_thread_alone_in_which_somebody_stays(
    home: Home, thread: Any
) -> None:
    await thread(home.run_now, where)
    assert home.enter() is None
    assert is_own(await soon(home.run(where)))
    assert len(made) == 1


def test_threads_that_come_at_a_time_have_one_home(home: Home) -> None:
    barrier = threading.Barrier(8)

    def enter() -> None:
        barrier.wait(DEADLINE)
        home.enter()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: enter(), range(8)))
    assert len(made) == 1


# How long


def test_loop_that_ends_ends_what_it_has_and_the_next_begins_anew(home: Home) -> None:
    for number in (1, 2):
        assert asyncio.run(home.run(where)) is threading.main_thread()
        assert len(made) == number
        assert made[-1].has_ended
        assert home.shards is None


def test_loop_that_was_stopped_dead_has_a_successor(home: Home) -> None:
    loop = asyncio.new_event_loop()
    loop.run_until_complete(home.run(where))
    loop.close()  # It was given no time to end anything.
    assert is_own(home.run_now(where))
    assert len(made) == 2


async def test_home_that_was_left_begins_anew(home: Home) -> None:
    home.enter()
    await soon(home.leave())
    assert made[0].has_ended
    assert home.shards is None
    home.enter()
    assert len(made) == 2


async def test_home_may_be_left_from_another_loop(home: Home, thread: Any) -> None:
    home.enter()
    await thread(asyncio.run, home.leave())
    assert made[0].has_ended


def test_thread_has_ended_what_it_has_when_it_was_left(home: Home) -> None:
    home.enter()
    asyncio.run(home.leave())
    assert made[0].has_ended


def test_home_that_nobody_has_entered_may_be_left(home: Home) -> None:
    asyncio.run(home.leave())
    assert made == []


# What runs there


async def test_call_is_made_in_the_loop_and_not_at_once(home: Home, thread: Any) -> None:
    home.enter()
    await thread(home.call, lambda shards: shards.calls.append("called"))
    await eventually(lambda: made[0].calls == ["called"])


def test_call_finds_nobody_where_there_is_no_home(home: Home) -> None:
    home.call(lambda shards: pytest.fail("there is none"))
    assert made == []


def test_call_is_made_before_the_shards_move_out(home: Home) -> None:
    home.enter()
    home.call(lambda shards: made[0].calls.append("called"))

    async def move() -> None:
        home.enter()
        await eventually(lambda: made[0].has_ended)

    asyncio.run(move())
    assert made[0].calls == ["called", "stop"]


def test_what_goes_wrong_there_is_raised_here(home: Home) -> None:
    async def fail(shards: Any) -> None:
        raise TimeoutError("it is mine")

    with pytest.raises(TimeoutError, match="it is mine"):
        home.run_now(fail)
    with (
        ThreadPoolExecutor(1) as pool,
        pytest.raises(TimeoutError, match="it is mine"),
    ):
        pool.submit(asyncio.run, home.run(fail)).result(DEADLINE)


def test_nobody_waits_for_a_loop_that_does_not_turn(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked, ended = threading.Event(), threading.Event()

    def block(shards: Any) -> None:
        blocked.set()
        ended.wait(DEADLINE)

    home.enter()
    home.call(block)
    assert blocked.wait(DEADLINE)
    monkeypatch.setattr(homes, "RUN_TIMEOUT", 0.01)
    try:
        with pytest.raises(RelayUnavailable, match="does not turn"):
            home.run_now(where)
        with (
            ThreadPoolExecutor(1) as pool,
            pytest.raises(RelayUnavailable, match="does not turn"),
        ):
            pool.submit(asyncio.run, home.run(where)).result(DEADLINE)
    finally:
        ended.set()


async def test_who_gives_up_ends_what_was_begun(home: Home, thread: Any) -> None:
    begun, ended = threading.Event(), threading.Event()

    async def work(shards: Any) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def give_up() -> None:
        running = asyncio.create_task(home.run(work))
        await eventually(begun.is_set)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await eventually(ended.is_set)

    home.enter()
    await thread(asyncio.run, give_up())


# Forks


@needs_fork
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
class TestForks:
    def test_child_has_a_home_of_its_own_and_so_have_its_children(self, home: Home) -> None:
        assert is_own(home.run_now(where))

        def is_new() -> bool:
            return is_own(Home(furnish).run_now(where))

        def is_new_there_and_below() -> bool:
            return is_new() and succeeds_in_child(is_new)

        assert succeeds_in_child(is_new_there_and_below)
        assert is_own(home.run_now(where))  # That of the parent goes on.
        assert len(made) == 1

    def test_loop_of_the_main_thread_is_not_that_of_a_child(self, home: Home) -> None:
        async def main() -> None:
            home.enter()
            assert succeeds_in_child(lambda: is_own(Home(furnish).run_now(where)))
            assert await soon(home.run(where)) is threading.main_thread()

        asyncio.run(main())

    def test_connection_of_a_parent_ends_though_its_child_lives(
        self, home: Home, redis: RedisServer
    ) -> None:
        async def dial(shards: Any) -> int:
            shards.linked.append(await Server(redis.url).connect())
            number: int = await shards.linked[0].ask("CLIENT", "ID")
            return number

        async def end(shards: Any) -> None:
            shards.linked[0].abort()

        number = home.run_now(dial)
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            os.close(writer)
            os.read(reader, 1)  # It lives on until it is told.
            os._exit(0)
        try:
            assert f"id={number} " in redis.ask("CLIENT", "LIST")
            home.run_now(end)
            asyncio.run(eventually(lambda: f"id={number} " not in redis.ask("CLIENT", "LIST")))
        finally:
            os.close(writer)
            os.waitpid(child, 0)
            os.close(reader)
