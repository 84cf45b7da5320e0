"""Does the capacity model foresee what eight processes use, and how much they can do?

Eight Daphnes on one core, Redis and the clients on the other, the members of every room where
chance puts them, every process publishing. At half the rate that the model thinks possible, what
servers and Redis use is compared with what it foresees; then everything is sent as fast as it goes.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from . import capacity, peers, redis_server
from .capacity import Costs, Plan
from .cli import main
from .clusters import Cluster, cluster
from .harness import CLIENT_CORE, pin
from .load import SIZE, Load, drive, place
from .redis_server import RedisServer
from .results import Result
from .swarm import Swarm

PEER = peers.ROOMS_OVER_REDIS
OURS = PEER.name
PROCESSES = 8
FACTOR = 3.0
"""By how much the model may be wrong, either way. Redis is as good as idle here, where it pays far
more for a message than the busy one of the model: that is shown, and not judged."""

MODEL, MEASURED = "the model", "measured"


class Case(NamedTuple):
    """Rooms without a name, with members everywhere."""

    rooms: int
    members: int

    @property
    def title(self) -> str:
        return f"{self.rooms} rooms of {self.members}" if self.rooms > 1 else "one room of all"

    def plan(self, costs: Costs, rate: float) -> Plan:
        """What the model thinks of `rate` messages a second in all rooms together."""
        load = capacity.Load(
            self.rooms * self.members, self.rooms, self.members, rate / self.rooms, 0
        )
        return Plan.of(load, costs, PROCESSES)

    def most(self, costs: Costs) -> float:
        """The messages a second that keep one core busy."""
        idle, busy = self.plan(costs, 0).cores, self.plan(costs, 1000).cores
        return 1000 * (1 - idle) / (busy - idle)


class Site:
    """The processes and their clients, in the rooms of one case."""

    def __init__(self, opened: Cluster, redis: RedisServer, case: Case) -> None:
        self._opened = opened
        self._redis = redis
        self._ports = [server.port for server in opened.servers]
        self._rooms = [f"room-{number}" for number in range(case.rooms)]
        chance = random.Random(1)
        opened.clients.call(
            Swarm.enter,
            [
                place(chance.choice(self._ports), room)
                for room in self._rooms
                for _ in range(case.members)
            ],
        )

    def use(self, messages: int, rate: float) -> Use:
        """Send so many messages, at this rate or, for 0, as fast as it goes."""
        share = len(self._ports) * len(self._rooms)
        interval = len(self._ports) / rate if rate else 0
        load = Load(self._ports, self._rooms, max(1, round(messages / share)), interval)
        before = self._opened.cpu_seconds(), self._redis.cpu_seconds()
        driven = self._opened.clients.call(drive, load)
        after = self._opened.cpu_seconds(), self._redis.cpu_seconds()
        servers, redis = (one - other for one, other in zip(after, before, strict=True))
        return Use(load.messages / driven.seconds, servers / driven.seconds, redis / driven.seconds)


class Use(NamedTuple):
    """What was done, and with how much CPU."""

    rate: float
    """In messages a second."""
    servers: float
    """In cores, all of them together; so is Redis'."""
    redis: float


def _check(result: Result, redis: RedisServer, case: Case, costs: Costs, seconds: float) -> None:
    foreseen = case.most(costs)
    with cluster(PEER, redis.url, PROCESSES) as opened:
        site = Site(opened, redis, case)
        site.use(1, 0)
        steady = site.use(round(foreseen / 2 * seconds), foreseen / 2)
        fastest = site.use(round(foreseen * seconds), 0)
    expected = case.plan(costs, steady.rate)
    _compare(result, f"CPU of the processes, {case.title}", expected.cores, steady.servers, "cores")
    _compare(result, f"most messages, {case.title}", foreseen, fastest.rate, "messages/s")
    used = result.measure(f"Redis' CPU, {case.title}", "cores", "lower")
    used.add(MODEL, expected.redis)
    used.add(MEASURED, steady.redis)
    result.compare(used, MEASURED)


def _compare(result: Result, title: str, model: float, measured: float, unit: str) -> None:
    values = result.measure(title, unit)
    values.add(MODEL, model)
    values.add(MEASURED, measured)
    result.compare(values, MEASURED)
    factor = result.measure(f"{title}: the model is wrong by", "times", "lower")
    factor.add(MODEL, max(model, measured) / min(model, measured))
    result.compare(factor, MODEL, bar=FACTOR)


def run(quick: bool) -> Result:
    pin(CLIENT_CORE)
    cases = (Case(4, 10), Case(1, 40)) if quick else (Case(200, 10), Case(1, 2000))
    result = Result("eight", __doc__ or "", processes=PROCESSES, payload_bytes=SIZE)
    if reason := redis_server.missing() or PEER.missing():
        result.skip(OURS, reason)
        return result
    costs = Costs.measured()
    with redis_server.redis_server(CLIENT_CORE) as redis:
        result.versions["redis-server"] = redis.info()["redis_version"]
        for case in cases:
            _check(result, redis, case, costs, seconds=0.2 if quick else 5)
    return result


if __name__ == "__main__":
    main(run)
