"""What does a message between processes cost: who sends it, who receives it, and Redis?

And what do a delivery to a socket, and a client with a room of its own? In CPU time, at a steady
rate, where some messages are always on their way at once, as they are in a busy process: one that
has nothing to do pays far more for each, as it wakes up for it. What a process uses without load is
subtracted. `benchmarks.capacity` calculates with these figures.
"""

from __future__ import annotations

import time

from . import peers, redis_flood, redis_server
from .cli import main
from .clusters import Cluster, cluster
from .harness import CLIENT_CORE, SERVER_CORE, pin
from .load import SIZE, Load, drive, place
from .redis_server import RedisServer
from .results import Result
from .swarm import Swarm

PEER = peers.ROOMS_OVER_REDIS
OURS = PEER.name
SENDERS = 8
"""Tasks of one process, each of which waits for its own message."""
RATE = 2000
"""Messages a second, of all of them: about half of what the process could do."""
ROOMS = 20
FEW, MANY = 1, 11
"""Members of a room in a process: what the difference costs is what deliveries do."""

OUT = "CPU of who sends a message"
IN = "CPU of who receives a message"
DELIVERY = "CPU of a delivery to a socket"
REDIS_MESSAGE = "Redis' CPU for a message"
REDIS_COPY = "Redis' CPU for each process that gets it"
CONNECT = "CPU of a connection that joins a room of its own"
PROCESS_MEMORY = "memory of a process without clients"
CONNECT_MEMORY = "memory of a connection in a room of its own"
REDIS_JOIN = "Redis' CPU for such a join"
REDIS_JOIN_MEMORY = "Redis' memory for such a room"
UNITS = {PROCESS_MEMORY: "MB", CONNECT_MEMORY: "KB", REDIS_JOIN_MEMORY: "KB"}
"""The others are in microseconds."""


def _used(opened: Cluster) -> tuple[float, float]:
    """The seconds of CPU that the sender and the receiver have used so far."""
    sender, receiver = (server.cpu_seconds() for server in opened.servers)
    return sender, receiver


def _cost(redis: RedisServer, members: int, rounds: int) -> tuple[float, float]:
    """What a message costs the sender and the receiver, which has `members` in each room."""
    with cluster(PEER, redis.url, 2) as opened:
        sender, receiver = (server.port for server in opened.servers)
        rooms = [f"room-{number}" for number in range(ROOMS)]
        places = [place(receiver, room) for room in rooms for _ in range(members)]
        opened.clients.call(Swarm.enter, places)
        load = Load([sender] * SENDERS, rooms, rounds, SENDERS / RATE)
        opened.clients.call(drive, load._replace(rounds=1))
        before = _used(opened)
        seconds = opened.clients.call(drive, load).seconds
        between = _used(opened)
        time.sleep(seconds)
        after = _used(opened)
    out, into = (
        1e6 * (2 * middle - first - last) / load.messages
        for first, middle, last in zip(before, between, after, strict=True)
    )
    return out, into


def _messages(redis: RedisServer, quick: bool) -> dict[str, float]:
    rounds = 1 if quick else 40
    out, few = _cost(redis, FEW, rounds)
    _, many = _cost(redis, MANY, rounds)
    delivery = (many - few) / (MANY - FEW)
    return {OUT: out, IN: few - FEW * delivery, DELIVERY: delivery}


def _redis(quick: bool) -> dict[str, float]:
    """Redis on the servers' core, as who talks to it needs one of its own here."""
    copies, seconds = 16, 0.02 if quick else 1.0
    with redis_server.redis_server(SERVER_CORE) as redis:
        without = redis_flood.cost_of_a_message(redis, 0, seconds)
        with_copies = redis_flood.cost_of_a_message(redis, copies, seconds)
    return {REDIS_MESSAGE: without, REDIS_COPY: (with_copies - without) / copies}


def _joins(redis: RedisServer, quick: bool) -> dict[str, float]:
    first, count = (5, 20) if quick else (200, 2000)
    with cluster(PEER, redis.url, 1) as opened:
        server = opened.servers[0]
        without_clients = server.memory()
        rooms = [place(server.port, f"room-{number}") for number in range(first + count)]
        opened.clients.call(Swarm.enter, rooms[:first])
        before = server.cpu_seconds(), redis.cpu_seconds(), server.memory(), redis.memory()
        opened.clients.call(Swarm.enter, rooms[first:])
        after = server.cpu_seconds(), redis.cpu_seconds(), server.memory(), redis.memory()
    cpu, redis_cpu, memory, redis_memory = (
        (one - other) / count for one, other in zip(after, before, strict=True)
    )
    return {
        PROCESS_MEMORY: without_clients / 1e6,
        CONNECT: 1e6 * cpu,
        REDIS_JOIN: 1e6 * redis_cpu,
        CONNECT_MEMORY: memory / 1000,
        REDIS_JOIN_MEMORY: redis_memory / 1000,
    }


def run(quick: bool) -> Result:
    pin(CLIENT_CORE)
    result = Result("parcels", __doc__ or "", payload_bytes=SIZE, rate=RATE, senders=SENDERS)
    if reason := redis_server.missing() or PEER.missing():
        result.skip(OURS, reason)
        return result
    measures = {
        title: result.measure(title, UNITS.get(title, "µs"), "lower")
        for title in (
            OUT, IN, DELIVERY, REDIS_MESSAGE, REDIS_COPY,
            PROCESS_MEMORY, CONNECT, CONNECT_MEMORY, REDIS_JOIN, REDIS_JOIN_MEMORY,
        )
    }  # fmt: skip
    with redis_server.redis_server(CLIENT_CORE) as redis:
        result.versions["redis-server"] = redis.info()["redis_version"]
        for _ in range(1 if quick else 5):
            costs = _messages(redis, quick) | _redis(quick) | _joins(redis, quick)
            for title, cost in costs.items():
                measures[title].add(OURS, cost)
    for measure in measures.values():
        result.compare(measure, OURS)
    return result


if __name__ == "__main__":
    main(run)
