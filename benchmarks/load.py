"""A steady load on rooms of several servers; `drive` is for `Clients.call`."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter, process_time
from typing import NamedTuple

from .servers.commands import MEMBER_PATH
from .swarm import NUMBER, Swarm, WrongResult
from .wire import frame_size

SIZE = 100


class Load(NamedTuple):
    """What is sent: each publisher sends `rounds` ticks to each room, one each `interval` s.

    They begin with different rooms, so that no socket gets several ticks at once.
    """

    publishers: Sequence[int]
    """The port of the server for each; there may be several in one."""
    rooms: Sequence[str]
    rounds: int
    interval: float = 0

    @property
    def messages(self) -> int:
        return len(self.publishers) * len(self.rooms) * self.rounds


class Driven(NamedTuple):
    """One load: how long until everything had arrived, and what the clients' process used."""

    seconds: float
    client_cpu: float


def place(port: int, room: str) -> tuple[int, str]:
    """What `Swarm.enter` wants to know of a client."""
    return port, f"{MEMBER_PATH}/{room}"


def drive(swarm: Swarm, load: Load) -> Driven:
    """Have all publishers send; every member of the rooms gets every tick of each, once."""
    controls = [swarm.open_control(port) for port in load.publishers]
    share = len(load.rooms) * load.rounds
    started, used = perf_counter(), process_time()
    for index, control in enumerate(controls):
        control.tell(
            "load",
            {
                "rooms": [*load.rooms[index:], *load.rooms[:index]],
                "rounds": load.rounds,
                "interval": load.interval,
                "size": SIZE,
                "first": index * share,
            },
        )
    expected = len(controls) * load.rounds
    seen = swarm.count(expected * frame_size(SIZE))
    seconds, used = perf_counter() - started, process_time() - used
    for control in controls:
        control.hear("done")
    if len(set(NUMBER.findall(seen))) != expected:
        raise WrongResult(f"the first member got other ticks than the {expected} of its room")
    for control in controls:
        control.socket.close()
    return Driven(seconds, used)
