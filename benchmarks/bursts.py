"""How many frames a second does one core deliver, with 10 or 100 broadcasts per loop turn?

A server whose broadcast waits for clients that fall behind may spread a burst over more turns.
"""

from __future__ import annotations

from . import peers
from .cli import main
from .harness import sessions
from .rates import sample_rates
from .results import Result

PEERS = (peers.OURS_ON_DAPHNE, peers.OURS_ON_UVICORN, peers.BROADCAST, peers.BROADCAST_ON_UVLOOP)
SIZE = 100
BARS = {10: 8.0, 100: None}


def run(quick: bool) -> Result:
    members = 10 if quick else 200
    result = Result("bursts", __doc__ or "", members=members, payload_bytes=SIZE, bursts=list(BARS))
    with sessions(PEERS, result, members) as opened:
        for burst, bar in BARS.items():
            title = f"{members} sockets, {burst} broadcasts per loop turn"
            rate = sample_rates(
                result, opened, title, burst=burst, members=members, size=SIZE, quick=quick
            )
            result.compare(rate, peers.OURS_ON_DAPHNE.name, peers.BROADCAST.name, bar=bar)
            result.compare(rate, peers.OURS_ON_UVICORN.name, peers.BROADCAST_ON_UVLOOP.name)
    return result


if __name__ == "__main__":
    main(run)
