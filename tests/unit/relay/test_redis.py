"""The relay as its layer sees it: what it carries, what it hears, and what it lets go of."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest

from arcly_channels.exceptions import RelayOutcomeUnknown, RelayUnavailable, UnportableMessage
from arcly_channels.fanout.audience import EVERYONE, Group
from arcly_channels.relay.contract import Gap, Kind, Node, Parcel
from arcly_channels.relay.redis import RedisRelay
from arcly_channels.relay.servers import servers_of
from arcly_channels.relay.subscriber import LINGER, TIMEOUT
from arcly_channels.testing import Clock
from arcly_channels.testing.waiting import eventually, soon, turns
from arcly_channels.wire.envelope import Frame
from tests.redis_servers import RedisServer
from tests.servers import free_port


class Half:
    """What a layer is to its relay: it notes what it is told."""

    def __init__(self) -> None:
        self.parcels: list[Parcel] = []
        self.gaps: list[Gap] = []
        self.groups: set[str] = set()

    def on_parcel(self, parcel: Parcel) -> None:
        self.parcels.append(parcel)
        if parcel.body == {"type": "fail"}:
            raise LookupError("this half fails")

    def has_members(self, group: str) -> bool:
        return group in self.groups

    def groups_of_members(self) -> list[str]:
        return list(self.groups)

    def serves(self) -> bool:
        return bool(self.groups)

    def tell_gap(self, gap: Gap) -> None:
        self.gaps.append(gap)

    async def answer(self, what: str, about: Any) -> Any:
        return [what, about]


class Process:
    """A relay and its layer's half."""

    def __init__(self, hosts: list[str], prefix: str, **given: Any) -> None:
        self.half = Half()
        self.relay = RedisRelay(self.half, servers_of(hosts), prefix=prefix, **given)

    async def join(self, group: str) -> None:
        await soon(self.relay.follow(group))
        self.half.groups.add(group)
        self.relay.unfollow(group)

    def leave(self, group: str) -> None:
        self.half.groups.discard(group)
        self.relay.emptied(group)

    async def send(self, group: str, number: int, here: Any = None) -> Any:
        return await soon(self.relay.carry(message(group, number), here))


MakeProcess = Callable[..., Process]


def message(group: str, number: int) -> Parcel:
    return Parcel(Kind.MESSAGE, Group(group), {"number": number})


@pytest.fixture
async def make(redis: RedisServer) -> AsyncIterator[MakeProcess]:
    """Makes processes that have a Redis in common."""
    prefix = secrets.token_hex(4)
    made: list[Process] = []

    def make_one(*hosts: str, **given: Any) -> Process:
        made.append(Process(list(hosts) or [redis.url], prefix, **given))
        return made[-1]

    yield make_one
    for process in made:
        await soon(process.relay.stop())


def subscribers(redis: RedisServer, process: Process, group: str) -> int:
    topic = process.relay.names.of(Group(group)).decode()
    return int(redis.ask("PUBSUB", "NUMSUB", topic).split()[-1])


# What is carried


async def test_parcel_arrives_elsewhere_and_its_local_half_is_done_here(make: MakeProcess) -> None:
    one, two = make(), make()
    await one.join("group")
    await two.join("group")
    here: list[int] = []
    await one.send("group", 1, lambda: here.append(1))
    assert here == [1]
    await eventually(lambda: two.half.parcels == [message("group", 1)])
    assert one.half.parcels == []


async def test_messages_of_a_group_have_one_order_everywhere(make: MakeProcess) -> None:
    processes = [make() for _ in range(3)]
    for process in processes:
        await process.join("group")

    async def talk(process: Process, start: int) -> None:
        for number in range(start, start + 100):
            parcel = message("group", number)
            await process.send("group", number, partial(process.half.on_parcel, parcel))

    await soon(asyncio.gather(*map(talk, processes, (0, 100, 200))))
    await eventually(lambda: all(len(process.half.parcels) == 300 for process in processes))
    first, second, third = (process.half.parcels for process in processes)
    assert first == second == third


async def test_local_half_is_done_once_though_it_comes_back(make: MakeProcess) -> None:
    one = make()
    await one.join("group")
    here: list[int] = []
    for number in range(100):
        await one.send("group", number, lambda number=number: here.append(number))
    assert here == list(range(100))


async def test_at_once_the_local_half_is_done_before_anything_is_sent(make: MakeProcess) -> None:
    one, two = make(delivers_at_once=True), make()
    await one.join("group")
    await two.join("group")
    assert await one.send("group", 1, lambda: "done") == "done"
    await eventually(lambda: two.half.parcels == [message("group", 1)])


async def test_frame_arrives_for_all(make: MakeProcess) -> None:
    one, two = make(), make()
    await soon(two.relay.follow())
    await soon(one.relay.carry(Parcel(Kind.FRAME, EVERYONE, Frame(b"{}")), None))
    await eventually(lambda: two.half.parcels)
    assert two.half.parcels[0].to == EVERYONE
    assert two.half.parcels[0].body.payload == b"{}"


async def test_parcel_for_one_process_arrives_there_only(make: MakeProcess) -> None:
    one, two, three = make(), make(), make()
    for process in (two, three):
        await soon(process.relay.follow())
    parcel = Parcel(Kind.SEND, Node(two.relay.node), ["channel", {"number": 1}])
    await soon(one.relay.carry(parcel, None))
    await eventually(lambda: two.half.parcels)
    assert two.half.parcels[0].body == ["channel", {"number": 1}]
    assert three.half.parcels == []


async def test_message_that_nobody_could_read_reaches_nobody(make: MakeProcess) -> None:
    one = make()
    await one.join("group")
    bad = Parcel(Kind.MESSAGE, Group("group"), {"at": object()})
    with pytest.raises(UnportableMessage):
        await one.relay.carry(bad, lambda: pytest.fail("nobody has sent it"))
    assert one.relay.look().parcels_out == 0


async def test_other_processes_answer(make: MakeProcess) -> None:
    one, two, three = make(), make(), make()
    for process in (two, three):
        await soon(process.relay.follow())
    assert await soon(one.relay.ask(EVERYONE, "size", 1)) == [["size", 1]] * 2
    assert await soon(one.relay.ask(Node(two.relay.node), "size", 2)) == [["size", 2]]
    in_thread = asyncio.to_thread(one.relay.ask_now, EVERYONE, "size", 3)
    assert await soon(in_thread) == [["size", 3]] * 2


# What goes wrong


def fail() -> None:
    raise LookupError("this half fails")


async def test_local_half_that_fails_is_told_to_a_thread_and_counted_in_the_loop(
    make: MakeProcess,
) -> None:
    one = make()
    await one.join("group")
    with pytest.raises(LookupError):
        await asyncio.to_thread(one.relay.carry_now, message("group", 1), fail)
    await one.send("group", 2, fail)
    await eventually(lambda: one.relay.look().dropped["failed"] == 1)


async def test_local_half_that_fails_elsewhere_is_counted_and_the_next_is_done(
    make: MakeProcess,
) -> None:
    one, two = make(), make()
    await two.join("group")
    await soon(one.relay.carry(Parcel(Kind.MESSAGE, Group("group"), {"type": "fail"}), None))
    await one.send("group", 2)
    await eventually(lambda: len(two.half.parcels) == 2)
    assert two.relay.look().dropped["failed"] == 1


async def test_local_halves_that_fail_again_and_again_are_logged_once_a_second(
    make: MakeProcess, caplog: pytest.LogCaptureFixture, gateway_clock: Clock
) -> None:
    one, two = make(), make()
    await two.join("group")

    async def let_fail(number: int) -> None:
        before = two.relay.look().dropped["failed"]
        for _ in range(number):
            parcel = Parcel(Kind.MESSAGE, Group("group"), {"type": "fail"})
            await soon(one.relay.carry(parcel, None))
        await eventually(lambda: two.relay.look().dropped["failed"] == before + number)

    await let_fail(50)
    gateway_clock.jump(1)
    await let_fail(1)
    assert [each.args for each in caplog.records] == [("MESSAGE", 0), ("MESSAGE", 49)]


async def test_server_that_refuses_what_is_sent_is_a_problem_until_it_takes_some(
    make: MakeProcess, redis: RedisServer
) -> None:
    one = make()
    await one.send("group", 1)
    shard = next(iter(one.relay.home.shards or ()))
    publish, shard._publish = shard._publish, b"*3\r\n$6\r\nNOSUCH\r\n"
    with pytest.raises(RelayUnavailable):
        await one.send("group", 2)
    assert "refuses" in str(one.relay.problem())
    shard._publish = publish
    await one.send("group", 3)
    assert one.relay.problem() is None


@pytest.mark.parametrize(
    ("garbage", "what"), [("", "garbage"), ("\x01", "garbage"), ("zz", "version")]
)
async def test_garbage_is_counted_and_the_next_is_done(
    make: MakeProcess, redis: RedisServer, garbage: str, what: str
) -> None:
    one, two = make(), make()
    await two.join("group")
    for to in (Group("group"), EVERYONE, Node(two.relay.node)):
        redis.ask("PUBLISH", two.relay.names.of(to).decode(), garbage)
    await one.send("group", 2)
    await eventually(lambda: two.half.parcels == [message("group", 2)])
    assert two.relay.look().dropped[what] == 3


async def test_log_says_once_a_minute_that_something_cannot_be_read(
    make: MakeProcess, redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    one = make()
    await one.join("group")
    for _ in range(5):
        redis.ask("PUBLISH", one.relay.names.of(Group("group")).decode(), "garbage")
    await eventually(lambda: one.relay.look().dropped["version"] == 5)
    (told,) = (each.getMessage() for each in caplog.records)
    assert "symmetric_encryption_keys" in told


async def test_who_asks_for_a_problem_has_the_link_made(make: MakeProcess) -> None:
    one, other = make(), make(f"redis://127.0.0.1:{free_port()}")
    assert one.relay.problem() is not None
    await eventually(lambda: one.relay.problem() is None)
    await eventually(lambda: "Connect call failed" in str(other.relay.problem()))


async def test_server_that_stands_still_is_a_problem_until_it_goes_on(
    make: MakeProcess, redis: RedisServer
) -> None:
    with RedisServer() as other:
        one = make(other.url)
        await one.send("group", 1)
        other.pause()
        with pytest.raises(RelayOutcomeUnknown):
            await one.send("group", 2)
        assert "no answer" in str(one.relay.problem())
        other.resume()
        await one.send("group", 3)
        assert one.relay.problem() is None


async def test_who_has_another_key_is_not_heard(make: MakeProcess) -> None:
    one, two = make(keys=["one"]), make(keys=["two"])
    await two.join("group")
    await one.send("group", 1)
    await eventually(lambda: two.relay.look().dropped["encryption"] == 1)
    assert two.half.parcels == []


# What is heard


async def test_group_is_heard_for_as_long_as_it_has_members(
    make: MakeProcess, redis: RedisServer, gateway_clock: Clock
) -> None:
    one = make()
    await one.join("group")
    assert subscribers(redis, one, "group") == 1
    one.leave("group")
    await turns()
    gateway_clock.jump(LINGER)
    await eventually(lambda: subscribers(redis, one, "group") == 0)


async def test_groups_are_let_go_of_that_were_emptied_when_there_was_no_loop(
    make: MakeProcess, redis: RedisServer, gateway_clock: Clock
) -> None:
    one = make()
    await one.join("before")
    await soon(one.relay.stop())
    one.leave("before")
    await one.join("after")
    one.leave("after")
    await turns()
    gateway_clock.jump(LINGER)
    await eventually(lambda: subscribers(redis, one, "after") == 0)


async def test_groups_are_let_go_of_that_two_threads_have_emptied_at_a_time(
    make: MakeProcess, gateway_clock: Clock
) -> None:
    class Raced(deque[str]):
        """Has another thread come between, when one has put the first into it."""

        def append(self, group: str) -> None:
            super().append(group)
            if len(self) == 1:
                one.leave("second")

    one = make()
    await soon(one.relay.follow())
    before = one.relay.look().subscriptions
    await one.join("first")
    await one.join("second")
    one.relay._emptied = Raced()
    one.leave("first")
    await turns()
    gateway_clock.jump(LINGER)
    await eventually(lambda: one.relay.look().subscriptions == before)


async def test_topics_of_several_servers_are_followed_all_or_none(
    make: MakeProcess, redis: RedisServer, gateway_clock: Clock
) -> None:
    with RedisServer() as silent:
        one = make(redis.url, silent.url)
        await one.join("first")
        await eventually(lambda: one.relay.look().links == 4)
        before = one.relay.look().subscriptions
        silent.pause()
        following = asyncio.create_task(one.relay.follow(*(f"group-{each}" for each in range(20))))
        await eventually(lambda: redis.ask("PUBSUB", "CHANNELS", "*:g:group-*"))
        gateway_clock.jump(TIMEOUT)
        with pytest.raises(RelayUnavailable):
            await soon(following)
        silent.resume()
        await turns()
        gateway_clock.jump(LINGER)
        await eventually(lambda: one.relay.look().subscriptions == before)


# The end


async def test_relay_that_has_ended_begins_again(make: MakeProcess, redis: RedisServer) -> None:
    one, two = make(), make()
    await two.join("group")
    await one.send("group", 1)
    assert one.relay.look().links == one.relay.look().links_wanted == 1
    await soon(one.relay.stop())
    assert one.relay.look().links == 0
    await one.send("group", 2)
    await eventually(lambda: len(two.half.parcels) == 2)


async def test_what_is_heard_is_heard_again_after_the_end_and_that_is_a_gap(
    make: MakeProcess, gateway_clock: Clock
) -> None:
    one, two = make(), make()
    await one.join("group")
    await soon(one.relay.stop())
    await soon(one.relay.follow())
    await two.send("group", 1)
    await eventually(lambda: one.half.parcels == [message("group", 1)])
    gateway_clock.jump(1)
    await eventually(lambda: one.half.gaps)
    assert "event loop" in one.half.gaps[0].why


async def test_who_is_asked_while_it_ends_makes_no_new_link(
    make: MakeProcess, redis: RedisServer
) -> None:
    one = make()
    await soon(one.relay.follow())
    one.relay._questions.take_question([secrets.token_hex(8), 1, "size", None])
    await soon(one.relay.stop())
    await turns(20)
    assert one.relay.home.shards is None
