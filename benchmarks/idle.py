"""What does an idle connection cost in memory, and how fast does one core accept them?

Keep-alive stays as each server has it. The first connections are not counted: they pay for what
is made only once.
"""

from __future__ import annotations

import time

from . import peers
from .cli import main
from .harness import available, session
from .results import Result
from .swarm import Swarm

PEERS = (peers.OURS_ON_DAPHNE, peers.STOCK_ON_DAPHNE, peers.BARE_ON_DAPHNE)
SETTLE = 2.0


def run(quick: bool) -> Result:
    members, first, repeats = (20, 5, 1) if quick else (2000, 200, 3)
    result = Result("idle", __doc__ or "", members=members, not_counted=first)
    memory = result.measure("memory of an idle connection", "KB", "lower")
    rate = result.measure(f"connect, accept and join, {members} sockets", "connections/s")
    for _ in range(repeats):
        for peer in available(PEERS, result):
            with session(peer, keepalive=True) as opened:
                opened.clients.call(Swarm.connect, first)
                before = opened.server.memory()
                seconds = opened.clients.call(Swarm.connect, members)
                time.sleep(0.1 if quick else SETTLE)
                memory.add(peer.name, (opened.server.memory() - before) / members / 1000)
                rate.add(peer.name, members / seconds)
    result.compare(memory, peers.OURS_ON_DAPHNE.name, bar=25)
    result.compare(memory, peers.OURS_ON_DAPHNE.name, peers.STOCK_ON_DAPHNE.name, bar=1)
    result.compare(rate, peers.OURS_ON_DAPHNE.name, peers.STOCK_ON_DAPHNE.name)
    result.compare(rate, peers.OURS_ON_DAPHNE.name, peers.BARE_ON_DAPHNE.name, bar=0.75)
    return result


if __name__ == "__main__":
    main(run)
