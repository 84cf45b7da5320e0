"""What do pings to 10,000 idle connections cost, every 20 seconds, with a pong to each?

The clients answer as browsers do. The cost is the processor time of the server while nothing else
happens; without pings it is what remains at 0.
"""

from __future__ import annotations

from time import perf_counter

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


def run(quick: bool) -> Result:
    members, settle, seconds = (20, 0.1, 0.1) if quick else (10_000, 22, 40)
    result = Result("heartbeat", __doc__ or "", members=members, seconds=seconds)
    load = result.measure(f"pings to {members} idle connections", "% of a core", "lower")
    pings = result.measure("pings answered in a second", "pings/s")
    delay = result.measure("longest delay of the loop meanwhile", "ms", "lower", resolution=0.1)
    for peer in available(PEERS, result):
        with session(peer, keepalive=True) as opened:
            opened.clients.call(Swarm.connect, members)
            opened.clients.call(answer_pings, settle)
            opened.clients.call(Swarm.ask, "watch")
            before = opened.server.cpu_seconds()
            answered = opened.clients.call(answer_pings, seconds)
            used = opened.server.cpu_seconds() - before
            report = opened.clients.call(Swarm.ask, "report")
            load.add(peer.name, 100 * used / seconds)
            pings.add(peer.name, answered / seconds)
            delay.add(peer.name, report["worst_delay"] * 1000)
    result.compare(load, peers.OURS_ON_DAPHNE.name, bar=1.5)
    result.compare(load, peers.OURS_ON_DAPHNE.name, peers.BARE_ON_DAPHNE.name)
    result.compare(delay, peers.OURS_ON_DAPHNE.name, bar=5)
    return result


if __name__ == "__main__":
    main(run)
