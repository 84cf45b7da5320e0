"""How long does one broadcast to 5,000 sockets hold up everything else on the event loop?"""

from __future__ import annotations

from . import peers
from .cli import main
from .harness import sessions
from .results import Result
from .swarm import Swarm

PEERS = (
    peers.OURS_ON_DAPHNE,
    peers.OURS_ON_UVICORN,
    peers.STOCK_ON_DAPHNE,
    peers.BARE_ON_DAPHNE,
    peers.BROADCAST,
)
SIZE = 100


def run(quick: bool) -> Result:
    members, repeats = (50, 1) if quick else (5000, 3)
    result = Result("loop_delay", __doc__ or "", members=members, payload_bytes=SIZE)
    delay = result.measure(
        f"longest delay of the loop, one broadcast to {members} sockets",
        "ms",
        "lower",
        resolution=0.1,
    )
    duration = result.measure(f"until the last of {members} sockets has it", "ms", "lower")
    with sessions(PEERS, result, members) as opened:
        for _ in range(repeats):
            for each in opened:
                each.clients.call(Swarm.ask, "watch")
                run = each.clients.call(Swarm.fan_out, 1, 1, SIZE)
                report = each.clients.call(Swarm.ask, "report")
                delay.add(each.peer.name, report["worst_delay"] * 1000)
                duration.add(each.peer.name, run.seconds * 1000)
    for ours in (peers.OURS_ON_DAPHNE, peers.OURS_ON_UVICORN):
        result.compare(delay, ours.name, bar=10)
    result.compare(delay, peers.OURS_ON_DAPHNE.name, peers.STOCK_ON_DAPHNE.name)
    result.compare(delay, peers.OURS_ON_DAPHNE.name, peers.BROADCAST.name)
    return result


if __name__ == "__main__":
    main(run)
