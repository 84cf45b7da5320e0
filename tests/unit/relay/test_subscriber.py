"""Topics are heard when the server has said so, for as long as somebody wants them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from arcly_channels.exceptions import RelayUnavailable
from arcly_channels.relay.connector import PATIENCE
from arcly_channels.relay.servers import Server
from arcly_channels.relay.subscriber import BATCH, LINGER, TIMEOUT, Subscriber
from arcly_channels.relay.topics import CLASSIC, Hearing
from arcly_channels.testing import Clock
from arcly_channels.testing.waiting import eventually, soon, turns
from tests.redis_servers import RedisServer
from tests.unit.relay.obedient import ObedientServer, array

REFUSED = ConnectionRefusedError("nobody is there")


class Office:
    """What a subscriber tells, and what it asks: which topics are wanted."""

    def __init__(self) -> None:
        self.messages: list[tuple[bytes, bytes]] = []
        self.wanted: set[bytes] = set()
        self.losses = 0
        self.gaps: list[float] = []

    def on_message(self, name: bytes, data: bytes) -> None:
        self.messages.append((name, data))

    def on_lost(self) -> None:
        self.losses += 1

    def on_return(self, since: float, why: str) -> None:
        self.gaps.append(since)

    def make(self, server: ObedientServer | Server) -> Subscriber:
        return Subscriber(
            server.dial if isinstance(server, ObedientServer) else server.connect,
            CLASSIC,
            on_message=self.on_message,
            is_wanted=self.wanted.__contains__,
            on_lost=self.on_lost,
            on_return=self.on_return,
        )


@pytest.fixture
def office() -> Office:
    return Office()


@pytest.fixture
async def subscriber(
    server: ObedientServer, office: Office, no_pauses: None
) -> AsyncIterator[Subscriber]:
    """A subscriber that has its link."""
    subscriber = office.make(server)
    subscriber.start()
    await eventually(lambda: subscriber.connector.link)
    yield subscriber
    await subscriber.stop()


def confirm(server: ObedientServer, verb: bytes, *names: bytes) -> None:
    """Have the server say that it has done what it was told with topics."""
    server.say(*(array(verb, name, 1) for name in names))


async def followed(subscriber: Subscriber, server: ObedientServer, *names: bytes) -> None:
    following = asyncio.create_task(subscriber.follow(names))
    await turns()
    confirm(server, b"subscribe", *names)
    await soon(following)


async def let_linger(gateway_clock: Clock) -> None:
    gateway_clock.jump(LINGER)
    await asyncio.sleep(0.001)  # The timer of the loop has its turn.
    await turns()


def told(server: ObedientServer, verb: bytes) -> list[bytes]:
    """Return the topics that the server was told to do that with, by the last link."""
    return [name for words in server.commands if words[0] == verb for name in words[1:]]


async def lose_link(subscriber: Subscriber, server: ObedientServer) -> None:
    """Lose the link, and return when there is another."""
    before = subscriber.connector.link
    server.wire.cut()
    await eventually(lambda: subscriber.connector.link not in {before, None})


# To follow


async def test_topic_is_heard_when_the_server_has_said_so(
    subscriber: Subscriber, server: ObedientServer
) -> None:
    following = asyncio.create_task(subscriber.follow([b"one", b"two"]))
    await turns()
    assert server.commands == [[b"SUBSCRIBE", b"one", b"two"]]
    confirm(server, b"subscribe", b"one")
    await turns()
    assert not following.done()
    assert subscriber.state_of(b"one") is Hearing.HEARD
    confirm(server, b"subscribe", b"two")
    await soon(following)


async def test_what_is_sent_after_a_topic_is_followed_arrives(
    redis: RedisServer, office: Office
) -> None:
    subscriber = office.make(Server(redis.url))
    subscriber.start()
    for number in range(50):
        name = b"after-%d" % number
        await soon(subscriber.follow([name]))
        redis.ask("PUBLISH", name.decode(), str(number))
        await eventually(lambda: len(office.messages) > number)  # noqa: B023
        assert office.messages[-1] == (name, b"%d" % number)
    await subscriber.stop()


async def test_topic_is_subscribed_to_once_however_many_follow_it(
    subscriber: Subscriber, server: ObedientServer
) -> None:
    following = [asyncio.create_task(subscriber.follow([b"one"])) for _ in range(3)]
    await turns()
    confirm(server, b"subscribe", b"one")
    await soon(asyncio.gather(*following))
    await soon(subscriber.follow([b"one"]))
    assert told(server, b"SUBSCRIBE") == [b"one"]


async def test_topics_of_a_turn_are_subscribed_to_in_batches(
    subscriber: Subscriber, server: ObedientServer
) -> None:
    names = [b"topic-%d" % number for number in range(2 * BATCH + 1)]
    following = [asyncio.create_task(subscriber.follow([name])) for name in names]
    await turns()
    assert [len(words) - 1 for words in server.commands] == [BATCH, BATCH, 1]
    assert len(server.wire.written) == 1
    confirm(server, b"subscribe", *names)
    await soon(asyncio.gather(*following))


async def test_who_follows_is_told_when_the_server_does_not_answer(
    subscriber: Subscriber, server: ObedientServer, office: Office, gateway_clock: Clock
) -> None:
    following = asyncio.create_task(subscriber.follow([b"one"]))
    await turns()
    gateway_clock.jump(TIMEOUT)
    with pytest.raises(RelayUnavailable):
        await soon(following)
    confirm(server, b"subscribe", b"one")
    await let_linger(gateway_clock)
    assert told(server, b"UNSUBSCRIBE") == [b"one"]  # Nothing is pinned.


async def test_who_follows_no_more_pins_nothing(
    subscriber: Subscriber, server: ObedientServer, gateway_clock: Clock
) -> None:
    following = asyncio.create_task(subscriber.follow([b"one"]))
    await turns()
    following.cancel()
    await asyncio.wait([following])
    confirm(server, b"subscribe", b"one")
    await let_linger(gateway_clock)
    assert told(server, b"UNSUBSCRIBE") == [b"one"]


async def test_who_follows_outlives_the_link(
    subscriber: Subscriber, server: ObedientServer
) -> None:
    following = asyncio.create_task(subscriber.follow([b"one"]))
    await turns()
    await lose_link(subscriber, server)
    await turns()
    assert not following.done()
    confirm(server, b"subscribe", b"one")
    await soon(following)


async def test_server_that_refuses_is_left_and_told_of(
    subscriber: Subscriber, server: ObedientServer
) -> None:
    following = asyncio.create_task(subscriber.follow([b"one"]))
    await turns()
    server.refuses = REFUSED
    server.say(b"-NOPERM no permission for channels\r\n")
    await eventually(lambda: subscriber.connector.link is None)
    server.refuses = None
    await eventually(lambda: subscriber.connector.link)
    confirm(server, b"subscribe", b"one")
    await soon(following)


# Without a link


async def test_where_there_is_no_link_for_sure_nobody_waits_and_it_is_a_gap(
    server: ObedientServer, office: Office, gateway_clock: Clock, no_pauses: None
) -> None:
    server.refuses = REFUSED
    subscriber = office.make(server)
    subscriber.start()
    await eventually(lambda: subscriber.connector.problem)
    gateway_clock.jump(PATIENCE)
    began = time.time()
    await soon(subscriber.follow([b"one"]))
    server.refuses = None
    await eventually(lambda: server.wires and server.wire.written)
    assert office.gaps == []
    confirm(server, b"subscribe", b"one")
    assert began <= office.gaps[0] <= time.time()
    await subscriber.stop()


async def test_first_link_is_no_gap(
    subscriber: Subscriber, server: ObedientServer, office: Office
) -> None:
    await followed(subscriber, server, b"one")
    assert (office.losses, office.gaps) == (0, [])


async def test_link_that_was_lost_is_one_gap_from_its_last_byte_until_all_is_heard(
    subscriber: Subscriber, server: ObedientServer, office: Office
) -> None:
    await followed(subscriber, server, b"one", b"two")
    heard_at = time.time()
    await lose_link(subscriber, server)
    assert office.losses == 1
    assert sorted(told(server, b"SUBSCRIBE")) == [b"one", b"two"]
    confirm(server, b"subscribe", b"one")
    assert office.gaps == []
    confirm(server, b"subscribe", b"two")
    (since,) = office.gaps
    assert since <= heard_at


async def test_links_that_are_lost_before_all_is_heard_are_the_same_gap(
    subscriber: Subscriber, server: ObedientServer, office: Office
) -> None:
    await followed(subscriber, server, b"one", b"two")
    await lose_link(subscriber, server)
    confirm(server, b"subscribe", b"one")
    await lose_link(subscriber, server)
    confirm(server, b"subscribe", b"one", b"two")
    assert len(office.gaps) == 1


async def test_gap_begins_with_the_last_message_where_that_was_sent_long_ago(
    subscriber: Subscriber, server: ObedientServer, office: Office, gateway_clock: Clock
) -> None:
    await followed(subscriber, server, b"one")
    subscriber.last_sent = sent_at = time.time()  # Whoever reads it may do so much later.
    await asyncio.sleep(0.01)
    server.say(array(b"message", b"one", b"late"))
    await lose_link(subscriber, server)
    confirm(server, b"subscribe", b"one")
    assert office.gaps == [sent_at]


async def test_what_nobody_wants_any_more_is_not_heard_by_the_next_link(
    subscriber: Subscriber, server: ObedientServer
) -> None:
    await followed(subscriber, server, b"one", b"two")
    subscriber.unfollow([b"one"])
    await lose_link(subscriber, server)
    assert told(server, b"SUBSCRIBE") == [b"two"]
    assert len(subscriber) == 1


async def test_redis_that_cuts_a_link_is_heard_again(redis: RedisServer, office: Office) -> None:
    subscriber = office.make(Server(redis.url))
    subscriber.start()
    await soon(subscriber.follow([b"cut"]))
    redis.ask("CLIENT", "KILL", "TYPE", "pubsub")
    await eventually(lambda: office.gaps)
    redis.ask("PUBLISH", "cut", "again")
    await eventually(lambda: office.messages == [(b"cut", b"again")])
    assert len(office.gaps) == 1
    await subscriber.stop()


# To let go


async def test_topic_that_nobody_wants_is_let_go_of_a_while_later(
    subscriber: Subscriber, server: ObedientServer, gateway_clock: Clock
) -> None:
    await followed(subscriber, server, b"one")
    subscriber.unfollow([b"one"])
    await turns()
    assert told(server, b"UNSUBSCRIBE") == []
    await let_linger(gateway_clock)
    assert told(server, b"UNSUBSCRIBE") == [b"one"]
    confirm(server, b"unsubscribe", b"one")
    assert len(subscriber) == 0


async def test_topic_that_is_wanted_stays_without_a_pin(
    subscriber: Subscriber, server: ObedientServer, office: Office, gateway_clock: Clock
) -> None:
    await followed(subscriber, server, b"one")
    office.wanted.add(b"one")
    subscriber.unfollow([b"one"])
    await let_linger(gateway_clock)
    assert told(server, b"UNSUBSCRIBE") == []
    office.wanted.clear()
    subscriber.look_at(b"one")
    await let_linger(gateway_clock)
    assert told(server, b"UNSUBSCRIBE") == [b"one"]


async def test_topic_that_one_of_two_follows_stays(
    subscriber: Subscriber, server: ObedientServer, gateway_clock: Clock
) -> None:
    await followed(subscriber, server, b"one")
    await soon(subscriber.follow([b"one"]))
    subscriber.unfollow([b"one"])
    await let_linger(gateway_clock)
    assert told(server, b"UNSUBSCRIBE") == []


async def test_who_leaves_and_comes_back_costs_nothing(
    subscriber: Subscriber, server: ObedientServer, gateway_clock: Clock
) -> None:
    await followed(subscriber, server, b"one")
    written = len(server.wire.written)
    for _ in range(5):
        subscriber.unfollow([b"one"])
        await soon(subscriber.follow([b"one"]))
    await let_linger(gateway_clock)
    assert len(server.wire.written) == written


async def test_who_comes_back_while_a_topic_is_let_go_of_waits_until_it_is_heard_again(
    subscriber: Subscriber, server: ObedientServer, gateway_clock: Clock
) -> None:
    await followed(subscriber, server, b"one")
    subscriber.unfollow([b"one"])
    await let_linger(gateway_clock)
    following = asyncio.create_task(subscriber.follow([b"one"]))
    await turns()
    confirm(server, b"unsubscribe", b"one")
    await turns()
    assert not following.done()
    confirm(server, b"subscribe", b"one")
    await soon(following)
    assert subscriber.state_of(b"one") is Hearing.HEARD


async def test_topics_are_let_go_of_in_batches(
    subscriber: Subscriber, server: ObedientServer, gateway_clock: Clock
) -> None:
    names = [b"topic-%d" % number for number in range(BATCH + 1)]
    await followed(subscriber, server, *names)
    subscriber.unfollow(names)
    await let_linger(gateway_clock)
    ends = [words for words in server.commands if words[0] == b"UNSUBSCRIBE"]
    assert [len(words) - 1 for words in ends] == [BATCH, 1]


async def test_topic_that_is_heard_without_waiting_lasts_as_long_as_it_is_wanted(
    subscriber: Subscriber, server: ObedientServer, office: Office, gateway_clock: Clock
) -> None:
    office.wanted.add(b"one")
    subscriber.hear(b"one")
    await turns()
    confirm(server, b"subscribe", b"one")
    await let_linger(gateway_clock)
    assert told(server, b"UNSUBSCRIBE") == []


async def test_topic_that_is_pinned_for_ever_is_heard_by_each_link(
    subscriber: Subscriber, server: ObedientServer, gateway_clock: Clock
) -> None:
    subscriber.pin_for_ever(b"one")
    await turns()
    confirm(server, b"subscribe", b"one")
    subscriber.look_at(b"one")
    await let_linger(gateway_clock)
    await lose_link(subscriber, server)
    assert told(server, b"SUBSCRIBE") == [b"one"]


# Messages, and the end


async def test_messages_are_given_in_their_order(
    subscriber: Subscriber, server: ObedientServer, office: Office
) -> None:
    await followed(subscriber, server, b"one")
    server.say(*(array(b"message", b"one", b"%d" % number) for number in range(100)))
    assert office.messages == [(b"one", b"%d" % number) for number in range(100)]


@pytest.mark.parametrize("reply", [b"+OK\r\n", b"*0\r\n", array(b"other", b"one", 1), b"$-1\r\n"])
async def test_reply_that_nobody_expects_is_ignored(
    subscriber: Subscriber, server: ObedientServer, office: Office, reply: bytes
) -> None:
    server.say(reply)
    assert subscriber.connector.link is not None
    assert office.messages == []


async def test_at_the_end_nobody_waits_for_a_topic(
    subscriber: Subscriber, server: ObedientServer
) -> None:
    following = asyncio.create_task(subscriber.follow([b"one"]))
    await turns()
    await subscriber.stop()
    await soon(following)
    assert len(subscriber) == 0


# What moves, in a cluster


@pytest.fixture
async def other(
    office: Office, no_pauses: None
) -> AsyncIterator[tuple[Subscriber, ObedientServer]]:
    """A subscriber of another server, and that."""
    server = ObedientServer()
    subscriber = office.make(server)
    subscriber.start()
    await eventually(lambda: subscriber.connector.link)
    yield subscriber, server
    await subscriber.stop()


async def test_topic_that_the_server_lets_go_of_is_a_gap_since_it_surely_had_it(
    subscriber: Subscriber, server: ObedientServer, office: Office
) -> None:
    await followed(subscriber, server, b"one", b"two")
    subscriber.on_moved = lambda: 3.0
    confirm(server, b"unsubscribe", b"one")
    assert subscriber.state_of(b"one") is Hearing.WANTED
    assert office.gaps == []
    subscriber.ask_again()
    await turns()
    assert told(server, b"SUBSCRIBE") == [b"one", b"two", b"one"]
    confirm(server, b"subscribe", b"one")
    assert office.gaps == [3.0]


async def test_topic_that_moves_is_heard_there_and_the_gap_with_it(
    subscriber: Subscriber,
    server: ObedientServer,
    office: Office,
    other: tuple[Subscriber, ObedientServer],
) -> None:
    there, new = other
    await followed(subscriber, server, b"stays", b"moves")
    subscriber.move_out({b"stays": subscriber, b"moves": there}.__getitem__, since=3.0)
    await turns()
    assert (len(subscriber), len(there)) == (1, 1)
    assert told(new, b"SUBSCRIBE") == [b"moves"]
    confirm(new, b"subscribe", b"moves")
    assert office.gaps == [3.0]
    await lose_link(subscriber, server)
    confirm(server, b"subscribe", b"stays")
    assert len(office.gaps) == 2


async def test_topics_of_a_lost_link_that_move_are_the_gap_of_that_link(
    subscriber: Subscriber,
    server: ObedientServer,
    office: Office,
    other: tuple[Subscriber, ObedientServer],
) -> None:
    there, new = other
    await followed(subscriber, server, b"one", b"two")
    heard_at = time.time()
    server.refuses = REFUSED
    server.wire.cut()
    subscriber.move_out(lambda name: there, since=3.0)
    server.refuses = None
    await eventually(lambda: subscriber.connector.link)
    assert office.gaps == []
    await turns()
    confirm(new, b"subscribe", b"one", b"two")
    (since,) = office.gaps
    assert 3.0 < since <= heard_at


async def test_who_follows_a_topic_that_moves_is_told_when_it_is_heard_there(
    subscriber: Subscriber,
    server: ObedientServer,
    office: Office,
    other: tuple[Subscriber, ObedientServer],
) -> None:
    there, new = other
    moves: list[bytes] = []
    subscriber.on_moved = lambda: moves.append(b"one") or 3.0  # type: ignore[func-returns-value]
    following = asyncio.create_task(subscriber.follow([b"one"]))
    await turns()
    server.say(b"-MOVED 1 127.0.0.1:7001\r\n")
    assert moves == [b"one"]
    assert subscriber.connector.link is not None
    subscriber.move_out(lambda name: there, since=3.0)
    await turns()
    assert not following.done()
    confirm(new, b"subscribe", b"one")
    await soon(following)
    assert office.gaps == []  # Nobody was told before that it is heard.


async def test_who_follows_a_topic_that_moves_and_is_not_heard_pins_nothing(
    subscriber: Subscriber,
    other: tuple[Subscriber, ObedientServer],
    gateway_clock: Clock,
) -> None:
    there, _ = other
    following = asyncio.create_task(subscriber.follow([b"one"]))
    await turns()
    subscriber.move_out(lambda name: there, since=3.0)
    await turns()
    gateway_clock.jump(TIMEOUT)
    with pytest.raises(RelayUnavailable):
        await soon(following)
    confirm(other[1], b"subscribe", b"one")
    await let_linger(gateway_clock)
    confirm(other[1], b"unsubscribe", b"one")
    assert len(there) == 0


async def test_topic_that_nobody_wants_does_not_move(
    subscriber: Subscriber, server: ObedientServer, other: tuple[Subscriber, ObedientServer]
) -> None:
    await followed(subscriber, server, b"one")
    subscriber.unfollow([b"one"])
    subscriber.move_out(lambda name: other[0], since=3.0)
    assert len(subscriber) == len(other[0]) == 0


async def test_server_that_has_nothing_any_more_is_not_heard(
    subscriber: Subscriber, server: ObedientServer, office: Office
) -> None:
    """A master that is a replica by now might pass on what comes from its new master, too."""
    await followed(subscriber, server, b"one")
    subscriber.go_deaf()
    server.say(array(b"message", b"one", b"data"))
    assert office.messages == []
    assert office.losses == 1
