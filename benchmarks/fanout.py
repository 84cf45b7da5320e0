"""How many frames a second does one core deliver, with one broadcast per loop turn?"""

from __future__ import annotations

from . import peers
from .cli import main
from .harness import sessions
from .rates import sample_rates
from .results import Result

PEERS = (
    peers.OURS_ON_DAPHNE,
    peers.OURS_ON_UVICORN,
    peers.STOCK_ON_DAPHNE,
    peers.STOCK_ON_UVICORN,
    peers.BARE_ON_DAPHNE,
    peers.BARE_ON_UVICORN,
    peers.SOCKETIO,
    peers.BROADCAST,
    peers.BROADCAST_ON_UVLOOP,
)
SIZE = 100


def run(quick: bool) -> Result:
    members = 10 if quick else 200
    result = Result("fanout", __doc__ or "", members=members, payload_bytes=SIZE, burst=1)
    title = f"{members} sockets, one broadcast per loop turn"
    with sessions(PEERS, result, members) as opened:
        rate = sample_rates(result, opened, title, burst=1, members=members, size=SIZE, quick=quick)
    daphne, uvicorn = peers.OURS_ON_DAPHNE.name, peers.OURS_ON_UVICORN.name
    result.compare(rate, daphne, peers.STOCK_ON_DAPHNE.name, bar=25)
    result.compare(rate, daphne, peers.BROADCAST.name, bar=1.2)
    result.compare(rate, daphne, peers.BARE_ON_DAPHNE.name)
    result.compare(rate, uvicorn, peers.STOCK_ON_UVICORN.name, bar=18)
    result.compare(rate, uvicorn, peers.BROADCAST_ON_UVLOOP.name)
    result.compare(rate, uvicorn, peers.BARE_ON_UVICORN.name)
    result.compare(rate, uvicorn, peers.SOCKETIO.name)
    return result


if __name__ == "__main__":
    main(run)
