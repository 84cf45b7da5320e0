"""How do 2,000 clients come back to a server that is restarted?

The clients are `gateway.js` itself under Node, in one or two rooms each; beside them, on the same
server, those of everyone's page, which connect again a second after the connection was lost. The
server is asked to end, so that it says goodbye, or killed. A client that does not come back, or not
in all of its rooms, ends this with an error.
"""

from __future__ import annotations

import resource
import signal
from collections import Counter
from typing import NamedTuple

from . import peers
from .cli import main
from .peers import Peer
from .results import Measure, Result
from .returns import BIN, Storm, crowd, missing, restart

OURS, NAIVE = "gateway", "naive"
KINDS = {OURS: "gateway.js", NAIVE: "again after 1 s"}
RATE = 500
"""How many a second the server wants to have back: the default of `RECONNECT_RATE`."""
HANDSHAKE = 2.0
"""Seconds that the last one may need beyond the spread, on a server that is busy with others."""
FEW = 4
"""Attempts of the client that needed most."""


class Restart(NamedTuple):
    """What happens to a server: how it ends, and for how many seconds it is away at least."""

    how: signal.Signals
    away: float

    def __str__(self) -> str:
        ended = "killed" if self.how is signal.SIGKILL else "asked to end"
        return f"server {ended}, away for {self.away:g} s"


ASKED, KILLED = Restart(signal.SIGTERM, 2), Restart(signal.SIGKILL, 2)
LONGER, AT_ONCE = Restart(signal.SIGTERM, 5), Restart(signal.SIGTERM, 0)
CASES = (
    (peers.OURS_ON_DAPHNE, ASKED, (OURS, NAIVE)),
    (peers.OURS_ON_DAPHNE, LONGER, (OURS,)),
    (peers.OURS_ON_DAPHNE, KILLED, (OURS,)),
    (peers.OURS_ON_UVICORN, ASKED, (OURS,)),
)


class Measures:
    """What is measured of restarts of one sort."""

    def __init__(self, result: Result, clients: int, restarted: Restart) -> None:
        def measure(title: str, unit: str) -> Measure:
            return result.measure(f"{restarted}: {title}", unit, "lower", resolution=0.01)

        self.back = measure(f"until all {clients} are in their rooms again", "s")
        self.busiest = measure(f"handshakes begun in the busiest {BIN:g} s", "of clients")
        self.slowest = measure("slowest handshake", "s")
        self.attempts = measure("most attempts of a client", "attempts")
        self.again = measure("clients cut off once more", "clients")
        self.refused = measure("attempts while there is no server", "attempts")
        self.delay = measure("longest delay of the loop", "ms")
        self.load = measure("of a core that the clients use", "cores")

    def add(self, name: str, storm: Storm) -> None:
        self.back.add(name, storm.last_back())
        self.busiest.add(name, storm.busiest())
        self.slowest.add(name, storm.slowest_handshake())
        self.attempts.add(name, storm.most_attempts())
        self.again.add(name, storm.cut_off_again())
        self.refused.add(name, sum(each.refused for each in storm.returned))
        self.delay.add(name, 1000 * storm.worst_delay)
        self.load.add(name, storm.client_load)

    def compare(self, result: Result, ours: str, naive: str, spread: float) -> None:
        result.compare(self.back, ours, bar=spread + HANDSHAKE)
        result.compare(self.attempts, ours, bar=FEW)
        result.compare(self.again, ours, bar=0)
        for measure in (self.busiest, self.slowest):
            result.compare(measure, ours, naive if naive in measure.samples else None)


def name_of(kind: str, peer: Peer) -> str:
    return KINDS[kind] + peer.name.removeprefix("arcly_channels")


def run(quick: bool) -> Result:
    _allow_many_files()
    clients, repeats, calm = (20, 1, 0.1) if quick else (2000, 3, 1.0)
    cases = ((peers.OURS_ON_DAPHNE, AT_ONCE, (OURS, NAIVE)),) if quick else CASES
    result = Result("storm", __doc__ or "", clients=clients, reconnect_rate=RATE)
    if reason := missing():
        result.skip(KINDS[OURS], f"missing: {reason}")
        return result
    measures = {each: Measures(result, clients, each) for _, each, _ in cases}
    for _ in range(repeats):
        for peer, restarted, kinds in cases:
            for kind in kinds:
                with crowd(peer, kind, clients) as (server, nodes):
                    storm = restart(peer, server, nodes, *restarted, calm=calm)
                name = name_of(kind, peer)
                measures[restarted].add(name, storm)
                case = f"{restarted}: {name}"
                result.series.setdefault(case, storm.attempts())
                codes = Counter(code for each in storm.returned for code in each.codes)
                result.close_codes.setdefault(case, sorted(codes))
                print(f"  {case}: {storm.last_back():.1f} s, ended by {dict(codes)}", flush=True)
    for peer, restarted, _ in cases:
        ours, naive = name_of(OURS, peer), name_of(NAIVE, peer)
        measures[restarted].compare(result, ours, naive, clients / RATE)
    return result


def _allow_many_files() -> None:
    """The server has a socket for each client, as have the clients, whose limits are inherited."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    main(run)
