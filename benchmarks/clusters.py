"""Several server processes of one project, which reach each other over Redis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryFile
from typing import NamedTuple

from .harness import Clients, Server, available, session
from .peers import Peer
from .results import Result
from .swarm import Swarm


class Cluster(NamedTuple):
    """One peer at work; the clients' control is at the first of its servers."""

    peer: Peer
    servers: Sequence[Server]
    clients: Clients

    def cpu_seconds(self) -> float:
        """The CPU time that all servers have used so far."""
        return sum(server.cpu_seconds() for server in self.servers)


@contextmanager
def cluster(peer: Peer, redis: str, processes: int) -> Iterator[Cluster]:
    """Fresh servers, all on the servers' core, with their clients."""
    with ExitStack() as stack:
        first = stack.enter_context(session(peer, redis=redis))
        servers = [first.server]
        for _ in range(processes - 1):
            log = stack.enter_context(TemporaryFile())
            servers.append(Server(peer, log, redis=redis))
            stack.callback(servers[-1].stop)
        yield Cluster(peer, servers, first.clients)


@contextmanager
def clusters(
    peers: Sequence[Peer], result: Result, redis: str, processes: int, members: int
) -> Iterator[list[Cluster]]:
    """All available peers at once, each with `members` connected to each of its processes."""
    with ExitStack() as stack:
        opened = [
            stack.enter_context(cluster(peer, redis, processes))
            for peer in available(peers, result)
        ]
        for each in opened:
            for server in each.servers:
                each.clients.call(Swarm.connect, members, port=server.port)
        yield opened
