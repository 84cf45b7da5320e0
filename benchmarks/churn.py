"""What is left behind by 100,000 clients that connect, join a room and leave?"""

from __future__ import annotations

from . import peers
from .cli import main
from .harness import available, session
from .results import Result
from .swarm import Client, Swarm

PEERS = (peers.OURS_ON_DAPHNE, peers.OURS_ON_UVICORN)


def come_and_go(swarm: Swarm, count: int, at_once: int = 50) -> None:
    """Connect so many members, so many at a time, and hang up."""
    for _ in range(0, count, at_once):
        clients = [
            Client(swarm.port, swarm.dialect.member_path, swarm.dialect) for _ in range(at_once)
        ]
        for client in clients:
            client.welcome()
        for client in clients:
            client.socket.close()


def run(quick: bool) -> Result:
    first, rest = (100, 100) if quick else (20_000, 80_000)
    result = Result("churn", __doc__ or "", not_counted=first, clients=rest)
    growth = result.measure("memory growth", "MB", "lower", resolution=0.1)
    for peer in available(PEERS, result):
        with session(peer, keepalive=True) as opened:
            opened.clients.call(come_and_go, first)
            before = opened.server.memory()
            opened.clients.call(come_and_go, rest)
            growth.add(peer.name, (opened.server.memory() - before) / 1e6)
    for peer in PEERS:
        result.compare(growth, peer.name, bar=5)
    return result


if __name__ == "__main__":
    main(run)
