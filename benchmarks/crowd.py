"""How much of the rate at 2,000 sockets is left at 8,000, with one broadcast per loop turn?"""

from __future__ import annotations

from . import peers
from .cli import main
from .harness import available, session
from .results import Result
from .swarm import Swarm

PEERS = (peers.OURS_ON_DAPHNE, peers.OURS_ON_UVICORN, peers.BARE_ON_DAPHNE, peers.BROADCAST)
SIZE = 100


def run(quick: bool) -> Result:
    few, many, frames, repeats = (10, 40, 5, 1) if quick else (2000, 8000, 300_000, 5)
    result = Result("crowd", __doc__ or "", members=[few, many], payload_bytes=SIZE)
    rates = {count: result.measure(f"{count} sockets", "deliveries/s") for count in (few, many)}
    costs = {
        count: result.measure(f"{count} sockets: server CPU per delivery", "µs", "lower")
        for count in (few, many)
    }
    share = result.measure(f"rate with {many} sockets, as a share of {few}", "of 1")
    for peer in available(PEERS, result):
        with session(peer) as opened:
            for count in (few, many):
                opened.clients.call(Swarm.connect, count - (0 if count == few else few))
                rounds = max(2, frames // count)
                opened.clients.call(Swarm.fan_out, 2, 1, SIZE)
                for _ in range(repeats):
                    before, deliveries = opened.server.cpu_seconds(), rounds * count
                    done = opened.clients.call(Swarm.fan_out, rounds, 1, SIZE)
                    used = opened.server.cpu_seconds() - before
                    rates[count].add(peer.name, deliveries / done.seconds)
                    costs[count].add(peer.name, used / deliveries * 1e6)
        share.add(peer.name, rates[many].median(peer.name) / rates[few].median(peer.name))
    result.compare(share, peers.OURS_ON_DAPHNE.name, bar=0.7)
    result.compare(share, peers.OURS_ON_UVICORN.name)
    return result


if __name__ == "__main__":
    main(run)
