"""What do pings to 10,000 idle connections cost, every 20 seconds, with a pong to each?

The clients answer as browsers do. The cost is the processor time of the server, less what it takes
without pings: Daphne looks at each of its connections every second, whatever they do.
"""

from __future__ import annotations

from time import perf_counter
from typing import NamedTuple

from . import peers
from .cli import main
from .harness import available, session
from .results import Result
from .swarm import Swarm
from .wire import PING, PONG, FrameReader, client_frame

PEERS = (peers.OURS_ON_DAPHNE, peers.BARE_ON_DAPHNE)


def answer_pings(swarm: Swarm, seconds: float) -> int:
    """Answer what pings come for so long; the number of them."""
    until, answered = perf_counter() + seconds, 0
    while (left := until - perf_counter()) > 0:
        for descriptor, _ in swarm.epoll.poll(left):
            member = swarm.members[descriptor]
            for opcode, payload in FrameReader().feed(member.recv(4096)):
                if opcode == PING:
                    answered += 1
                    member.sendall(client_frame(payload, PONG))
    return answered


class Load(NamedTuple):
    percent: float
    """Of a core, over the time."""
    delay: float
    """The longest of the loop, in milliseconds."""
    pings: float
    """Answered in a second."""


def idle_load(peer: peers.Peer, members: int, settle: float, seconds: float, pings: bool) -> Load:
    """Return what a server does whose clients do nothing but answer pings, if there are any."""
    with session(peer, keepalive=pings) as opened:
        opened.clients.call(Swarm.connect, members)
        opened.clients.call(answer_pings, settle)
        opened.clients.call(Swarm.ask, "watch")
        before = opened.server.cpu_seconds()
        answered = opened.clients.call(answer_pings, seconds)
        used = opened.server.cpu_seconds() - before
        report = opened.clients.call(Swarm.ask, "report")
        return Load(100 * used / seconds, report["worst_delay"] * 1000, answered / seconds)


def run(quick: bool) -> Result:
    members, settle, seconds = (20, 0.1, 0.1) if quick else (10_000, 22, 40)
    result = Result("heartbeat", __doc__ or "", members=members, seconds=seconds)
    cost = result.measure(f"pings to {members} idle connections", "% of a core", "lower")
    load = result.measure("the same, and all else that the server does then", "% of a core")
    pings = result.measure("pings answered in a second", "pings/s")
    delay = result.measure("longest delay of the loop meanwhile", "ms", "lower", resolution=0.1)
    quiet = result.measure("longest delay of the loop without pings", "ms", resolution=0.1)
    for peer in available(PEERS, result):
        without = idle_load(peer, members, settle, seconds, pings=False)
        found = idle_load(peer, members, settle, seconds, pings=True)
        cost.add(peer.name, found.percent - without.percent)
        load.add(peer.name, found.percent)
        pings.add(peer.name, found.pings)
        delay.add(peer.name, found.delay)
        quiet.add(peer.name, without.delay)
    result.compare(cost, peers.OURS_ON_DAPHNE.name, bar=1.5)
    result.compare(load, peers.OURS_ON_DAPHNE.name, peers.BARE_ON_DAPHNE.name)
    result.compare(delay, peers.OURS_ON_DAPHNE.name, bar=5)
    return result


if __name__ == "__main__":
    main(run)
