"""How many processes and how many Redis does a site need, and what is the limit?

Calculates with the measured costs in the results, each of which an option replaces:

    python -m benchmarks.capacity --connections 100000 --rooms 10000 --members 10 --messages 0.1
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from bisect import bisect_left
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import NamedTuple

from . import parcels, peers
from .results import DIRECTORY

SECOND = 1e6
"""In microseconds."""
MOST_PROCESSES = 1_000_000


@dataclass(frozen=True)
class Costs:
    """CPU in microseconds, memory in KB."""

    delivery: float
    parcel_out: float
    parcel_in: float
    idle: float
    """Of a connection, in each second."""
    connect: float
    connection_memory: float
    process_memory: float
    redis_message: float
    redis_copy: float
    redis_join: float
    redis_memory: float
    """Of a room in a process."""

    @classmethod
    def measured(cls, directory: Path = DIRECTORY) -> Costs:
        """Those in the results. Raises `FileNotFoundError` when one was never measured."""

        def median(name: str, title: str, peer: str = parcels.OURS) -> float:
            measures = json.loads((directory / f"{name}.json").read_text())["measures"]
            found = next(each for each in measures if each["title"] == title)
            return float(found["spreads"][peer]["median"])

        idle = "the same, and all else that the server does then"
        percent_of_10_000 = median("heartbeat", idle, peers.OURS_ON_DAPHNE.name)
        return cls(
            delivery=median("parcels", parcels.DELIVERY),
            parcel_out=median("parcels", parcels.OUT),
            parcel_in=median("parcels", parcels.IN),
            idle=percent_of_10_000 / 100 * SECOND / 10_000,
            connect=median("parcels", parcels.CONNECT),
            connection_memory=median("parcels", parcels.CONNECT_MEMORY),
            process_memory=median("parcels", parcels.PROCESS_MEMORY) * 1000,
            redis_message=median("parcels", parcels.REDIS_MESSAGE),
            redis_copy=median("parcels", parcels.REDIS_COPY),
            redis_join=median("parcels", parcels.REDIS_JOIN),
            redis_memory=median("parcels", parcels.REDIS_JOIN_MEMORY),
        )


class Load(NamedTuple):
    """What a site does, all of it together."""

    connections: int
    rooms: int
    members: int
    """Of each room, in whatever processes: the fan-out of a message."""
    messages: float
    """A second, in each room."""
    connects: float
    """Connections that come in a second, each of which joins a room."""


class Limits(NamedTuple):
    """What a process and a Redis may use; memory in MB."""

    busy: float
    """As a share of a core."""
    most: int
    """Connections of a process."""
    memory: float
    redis_memory: float


class Plan(NamedTuple):
    """What a site takes in `processes`. CPU is in cores and of all together, memory in MB."""

    processes: int
    sockets: float
    relay: float
    joins: float
    memory: float
    """Of each process."""
    redis: float
    redis_memory: float
    """Of all Redis servers together, as `redis`."""

    @classmethod
    def of(cls, load: Load, costs: Costs, processes: int) -> Plan:
        """What these processes have to do, where chance puts the members of a room."""
        absent = (1 - 1 / processes) ** load.members
        copies = processes * (1 - absent)
        messages = load.rooms * load.messages
        deliveries = messages * load.members
        kept = costs.process_memory + load.connections / processes * costs.connection_memory
        return cls(
            processes=processes,
            sockets=(deliveries * costs.delivery + load.connections * costs.idle) / SECOND,
            relay=messages * (costs.parcel_out + copies * costs.parcel_in) / SECOND,
            joins=load.connects * costs.connect / SECOND,
            memory=kept / 1000,
            redis=(
                messages * (costs.redis_message + copies * costs.redis_copy)
                + load.connects * costs.redis_join
            )
            / SECOND,
            redis_memory=load.rooms * copies * costs.redis_memory / 1000,
        )

    @property
    def cores(self) -> float:
        """What all processes are busy with."""
        return self.sockets + self.relay + self.joins

    def shares(self, load: Load, limits: Limits) -> dict[str, float]:
        """What there is of everything that has a limit, as a share of that."""
        return {
            "CPU": self.cores / self.processes / limits.busy,
            "connections": load.connections / self.processes / limits.most,
            "memory": self.memory / limits.memory,
        }

    def fits(self, load: Load, limits: Limits) -> bool:
        return all(share <= 1 for share in self.shares(load, limits).values())

    def shards(self, limits: Limits) -> int:
        """How many Redis servers share the rooms."""
        wanted = max(self.redis / limits.busy, self.redis_memory / limits.redis_memory)
        return max(1, math.ceil(wanted))

    def limit(self, load: Load, limits: Limits) -> str:
        """What there would have to be less of, for fewer processes."""
        if self.processes == 1:
            return "none"
        shares = self.shares(load, limits)
        parts = {"sockets": self.sockets, "relay": self.relay, "joins": self.joins}
        most = max(shares, key=shares.__getitem__)
        return f"CPU of {max(parts, key=parts.__getitem__)}" if most == "CPU" else most


def plan(load: Load, costs: Costs, limits: Limits) -> Plan:
    """The plan with the fewest processes. Raises `ValueError` when no number is enough."""
    most = 1
    while not Plan.of(load, costs, most).fits(load, limits):
        most *= 2
        if most > MOST_PROCESSES:
            raise ValueError(f"{MOST_PROCESSES:,} processes are not enough")
    numbers = range(most // 2 + 1, most + 1)
    at = bisect_left(
        numbers, True, key=lambda number: Plan.of(load, costs, number).fits(load, limits)
    )
    found = Plan.of(load, costs, numbers[at])
    if found.shards(limits) > load.rooms:
        raise ValueError("a room is in one Redis, and one is not enough for a room of these")
    return found


def say(load: Load, limits: Limits, found: Plan) -> str:
    """The answer, for people."""
    each, shards = found.processes, found.shards(limits)
    return f"""\
{load.connections:,} connections, {load.rooms:,} rooms of {load.members:,}, \
{load.messages:g} messages/s in each, {load.connects:g} new connections/s
processes: {found.processes:,}, with {load.connections / each:,.0f} connections each
  of a core: sockets {found.sockets / each:.1%}, relay {found.relay / each:.1%}, \
joins {found.joins / each:.1%}
  memory: {found.memory:,.0f} MB
Redis: {shards:,}
  of a core: {found.redis / shards:.1%}
  memory of subscriptions: {found.redis_memory / shards:,.0f} MB
limit: {found.limit(load, limits)}"""


def arguments() -> argparse.ArgumentParser:
    """The options. A load as text is what stands on their command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--rooms", type=int, required=True)
    parser.add_argument("--members", type=int, required=True, help="of each room")
    parser.add_argument("--messages", type=float, required=True, help="a second, in each room")
    parser.add_argument("--connects", type=float, default=0.0, help="new connections a second")
    parser.add_argument("--busy", type=float, default=0.6, help="the share of a core to plan for")
    parser.add_argument("--most", type=int, default=10_000, help="connections of a process")
    parser.add_argument("--memory", type=float, default=4000.0, help="MB of a process")
    parser.add_argument("--redis-memory", type=float, default=8000.0, help="MB of a Redis")
    for cost in fields(Costs):
        name = f"--cost-{cost.name.replace('_', '-')}"
        parser.add_argument(name, type=float, metavar="NUMBER", help="instead of the measured one")
    return parser


def answer(command: str, costs: Costs) -> tuple[Load, Limits, Plan]:
    """What the program finds for a command line."""
    chosen = vars(arguments().parse_args(command.split()))
    load = Load(*(chosen[name] for name in Load._fields))
    limits = Limits(*(chosen[name] for name in Limits._fields))
    given = {cost.name: chosen[f"cost_{cost.name}"] for cost in fields(Costs)}
    costs = replace(costs, **{name: cost for name, cost in given.items() if cost is not None})
    return load, limits, plan(load, costs, limits)


def main() -> None:
    load, limits, found = answer(" ".join(sys.argv[1:]), Costs.measured())
    print(say(load, limits, found))


if __name__ == "__main__":
    main()
