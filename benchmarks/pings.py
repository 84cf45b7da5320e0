"""What does a client cost that sends 60 MB of pings and reads none of the pongs?

The client stops when the server has taken nothing for two seconds, as one does that reads no
further. The memory is the peak of the server's processes, less what they held before.
"""

from __future__ import annotations

from . import peers
from .cli import main
from .memory import costs
from .results import Result
from .swarm import Swarm
from .wire import PING, client_frame

PEERS = (
    peers.OURS_ON_DAPHNE,
    peers.OURS_ON_UVICORN,
    peers.STOCK_ON_DAPHNE,
    peers.STOCK_ON_UVICORN,
)
PAYLOAD = 125
PATIENCE = 2.0


def ping(swarm: Swarm, size: int) -> int:
    """Send pings of `size` bytes in all, as far as the server takes them; how many it took."""
    sender = swarm.open_control().socket
    frame = client_frame(bytes(PAYLOAD), PING)
    pings = memoryview(frame * (size // len(frame)))
    sender.settimeout(PATIENCE)
    sent = 0
    try:
        while sent < len(pings):
            sent += sender.send(pings[sent : sent + (1 << 16)])
    except (TimeoutError, ConnectionError):
        pass
    swarm.parked.append(sender)  # It stays open, or else what waits for it would be freed.
    swarm.ask("echo")
    return sent


def run(quick: bool) -> Result:
    size, repeats = (200_000, 1) if quick else (60_000_000, 2)
    result = Result("pings", __doc__ or "", bytes=size, payload_bytes=PAYLOAD)
    title = f"memory growth, {size / 1e6:g} MB of pings from a client that reads nothing"
    growth = result.measure(title, "MB", "lower", resolution=0.1)
    taken = result.measure("pings taken", "MB")
    for peer, sent, watch in costs(PEERS, result, repeats, ping, size):
        growth.add(peer, watch.growth_mb())
        taken.add(peer, sent / 1e6)
    for ours in (peers.OURS_ON_DAPHNE, peers.OURS_ON_UVICORN):
        result.compare(growth, ours.name, bar=8)
    result.compare(growth, peers.OURS_ON_DAPHNE.name, peers.STOCK_ON_DAPHNE.name)
    result.compare(growth, peers.OURS_ON_UVICORN.name, peers.STOCK_ON_UVICORN.name)
    return result


if __name__ == "__main__":
    main(run)
