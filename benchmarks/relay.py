"""How many messages a second go over Redis from one process to another, and what does a join take?

One process sends, on a core of its own; the other, with one member of the group, shares a core with
Redis. Every message has to arrive, once. The peers are channels_redis' two layers, with the
redis-py that works for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from time import perf_counter

from . import channels_redis, peers, redis_server
from .cli import main
from .harness import CLIENT_CORE, SERVER_CORE, pin, session
from .peers import LAYERS
from .redis_server import RedisServer
from .results import Measure, Result
from .swarm import Swarm, check_numbers
from .talkers import Talker, available_layers, talker
from .wire import frame_size

GROUP = "bench"
SENDERS = (1, 8, 64)
SIZE = 100
OURS = LAYERS["relay"]
OTHERS = (LAYERS["core"], LAYERS["pubsub"])
SERVERS = (peers.OURS_OVER_REDIS, peers.STOCK_OVER_REDIS, peers.STOCK_OVER_PUBSUB)


class Pair:
    """A process that sends and one that receives, on one layer."""

    def __init__(self, sender: Talker, receiver: Talker) -> None:
        self.name = sender.name
        self._sender = sender
        self._receiver = receiver
        self._next = 0
        receiver.ask("join", group=GROUP)

    def rate(self, senders: int, seconds: float) -> float:
        """Messages a second, from the first one sent to the last one received, in a fair sample."""
        count = 20 * senders
        for _ in range(2):
            count = max(senders, int(self._rate(senders, count) * seconds))
        return self._rate(senders, count)

    def _rate(self, senders: int, count: int) -> float:
        first, self._next = self._next, self._next + count
        self._receiver.tell("take", first=first, count=count)
        sent = self._sender.ask("send", group=GROUP, first=first, count=count, senders=senders)
        return count / float(self._receiver.hear() - sent["started"])


@contextmanager
def _pairs(layers: Sequence[str], redis: RedisServer) -> Iterator[list[Pair]]:
    with ExitStack() as stack:
        yield [
            Pair(
                stack.enter_context(talker(layer, redis.url, CLIENT_CORE)),
                stack.enter_context(talker(layer, redis.url, SERVER_CORE)),
            )
            for layer in layers
        ]


def _send(result: Result, layers: Sequence[str], redis: RedisServer, quick: bool) -> None:
    repeats, seconds = (1, 0.02) if quick else (5, 0.5)
    with _pairs(layers, redis) as pairs:
        for senders in SENDERS:
            rate = result.measure(f"group_send by {senders} tasks at once", "messages/s")
            for _ in range(repeats):
                for pair in pairs:
                    rate.add(pair.name, pair.rate(senders, seconds))
            _compare(result, rate, bar=10)


def _join(result: Result, layers: Sequence[str], redis: RedisServer, quick: bool) -> None:
    """For the layers that join without an acknowledgement, the time says only that much."""
    repeats, groups = (1, 70) if quick else (5, 2000)
    for at_once in (1, 64):
        p99 = result.measure(f"group_add, {at_once} at once, p99", "ms", "lower")
        for repeat in range(repeats):
            for layer in layers:
                with talker(layer, redis.url, CLIENT_CORE) as joiner:
                    name = f"{layer}.{at_once}.{repeat}"
                    joiner.ask("add", name=f"{name}.first", groups=64, at_once=at_once)
                    times = joiner.ask("add", name=name, groups=groups, at_once=at_once)
                    p99.add(joiner.name, 1000 * sorted(times)[len(times) * 99 // 100])
        result.compare(p99, OURS, bar=3 if at_once == 1 else None)


def _publish(result: Result, layers: Sequence[str], redis: RedisServer, quick: bool) -> None:
    """From the main thread of a process without a loop, to one WebSocket of another."""
    repeats, seconds = (1, 0.02) if quick else (5, 0.5)
    rate = result.measure("broadcast_to_room from a plain thread, to one socket", "messages/s")
    for _ in range(repeats):
        for peer in (each for each in SERVERS if each.layer in layers):
            with (
                session(peer, redis=redis.url) as opened,
                talker(peer.layer, redis.url, CLIENT_CORE) as publisher,
            ):
                opened.clients.call(Swarm.connect, 1)
                first, count = 0, 20
                for _ in range(3):
                    publisher.tell("publish", first=first, count=count, size=SIZE)
                    ended = opened.clients.call(take, first, count)
                    found = count / (ended - publisher.hear()["started"])
                    first, count = first + count, max(1, int(found * seconds))
                rate.add(LAYERS[peer.layer], found)
    _compare(result, rate, bar=10)


def take(swarm: Swarm, first: int, count: int) -> float:
    """Wait until all members have got ticks `first` to `first + count - 1`; when that was."""
    check_numbers(swarm.count(count * frame_size(SIZE)), first, count)
    return perf_counter()


def _compare(result: Result, measure: Measure, *, bar: float) -> None:
    for other in OTHERS:
        result.compare(measure, OURS, other, bar=bar)


def run(quick: bool) -> Result:
    pin(CLIENT_CORE)
    result = Result("relay", __doc__ or "", senders=list(SENDERS), payload_bytes=SIZE)
    if reason := redis_server.missing():
        result.skip("all", reason)
        return result
    layers = available_layers(list(LAYERS), result)
    if {"core", "pubsub"} & set(layers):
        result.versions |= channels_redis.versions()
    with redis_server.redis_server(SERVER_CORE) as redis:
        result.versions["redis-server"] = redis.info()["redis_version"]
        _send(result, layers, redis, quick)
        _join(result, layers, redis, quick)
        _publish(result, layers, redis, quick)
    return result


if __name__ == "__main__":
    main(run)
