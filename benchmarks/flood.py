"""What does a client cost that sends 200 MB faster than its handler works? Is any of it lost?

The memory is the peak of the server's processes during the flood, less what they held before it.
"""

from __future__ import annotations

from typing import Any

from . import peers
from .cli import main
from .memory import costs
from .results import Result
from .swarm import Swarm, WrongResult
from .wire import client_frame

PEERS = (peers.OURS_ON_DAPHNE, peers.STOCK_ON_DAPHNE)
SIZE = 32_000
PAUSE = 0.001


def flood(swarm: Swarm, frames: int) -> None:
    """Send as fast as the server takes it, then make sure that its handler saw every frame."""
    sender = swarm.open_control()
    frame = client_frame(swarm.dialect.encode("flood", {"p": "x" * SIZE, "pause": PAUSE}))
    sender.socket.settimeout(60)
    for _ in range(frames):
        sender.socket.sendall(frame)
    report: dict[str, Any] = sender.ask("report")
    if (report["flooded_frames"], report["flooded_bytes"]) != (frames, frames * SIZE):
        raise WrongResult(f"sent {frames} frames of {SIZE} bytes, the handler saw {report}")


def run(quick: bool) -> Result:
    frames, repeats = (50, 1) if quick else (6250, 2)
    result = Result(
        "flood", __doc__ or "", frames=frames, payload_bytes=SIZE, handler_seconds=PAUSE
    )
    growth = result.measure(
        f"memory growth while {frames * SIZE / 1e6:g} MB flood a slow handler",
        "MB",
        "lower",
        resolution=0.1,
    )
    for peer, _, watch in costs(PEERS, result, repeats, flood, frames):
        growth.add(peer, watch.growth_mb())
        result.series.setdefault(peer, watch.samples)
    result.compare(growth, peers.OURS_ON_DAPHNE.name, bar=16)
    result.compare(growth, peers.OURS_ON_DAPHNE.name, peers.STOCK_ON_DAPHNE.name)
    return result


if __name__ == "__main__":
    main(run)
