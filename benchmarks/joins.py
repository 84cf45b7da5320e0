"""What does a client cost that sends 20 MB of joins, and then hangs up?

Each join is to a room of its own. The client reads what it is answered and, where it is thrown out,
sends no more. The memory is the peak of the server's processes, less what they held before; the
delay is the longest of the loop, while rooms are joined and while they are left.
"""

from __future__ import annotations

import select
import socket
import time
from typing import NamedTuple

from . import peers
from .cli import main
from .memory import costs
from .results import Result
from .swarm import Swarm, WrongResult
from .wire import client_frame

PEERS = (peers.OURS_ON_DAPHNE, peers.OURS_ON_UVICORN)
DEADLINE = 120.0
SETTLE = 0.5


class Delays(NamedTuple):
    joining: float
    leaving: float


def join(swarm: Swarm, size: int) -> Delays:
    """Join as many rooms as `size` bytes of frames can name; milliseconds."""
    joiner = swarm.open_control()
    swarm.ask("watch")
    send_and_discard(joiner.socket, _frames(swarm, size))
    joining = swarm.ask("report")["worst_delay"]
    swarm.ask("watch")
    joiner.socket.close()
    time.sleep(SETTLE)
    leaving = swarm.ask("report")["worst_delay"]
    return Delays(joining * 1000, leaving * 1000)


def _frames(swarm: Swarm, size: int) -> memoryview:
    def frame(number: int) -> bytes:
        return client_frame(swarm.dialect.encode("join", {"room": f"{number:07}"}))

    count = size // len(frame(0))
    last = client_frame(swarm.dialect.encode("echo", {}))
    return memoryview(b"".join(frame(number) for number in range(count)) + last)


def send_and_discard(connection: socket.socket, data: memoryview) -> None:
    """Send everything and read until "done" is answered, or the server ends the connection."""
    connection.setblocking(False)
    end, deadline = b"", time.monotonic() + DEADLINE
    while b'"done"' not in end:
        if time.monotonic() > deadline:
            raise WrongResult(f"the server has not taken {len(data)} bytes in {DEADLINE} s")
        writers = [connection] if data else []
        readable, writable, _ = select.select([connection], writers, [], 1)
        try:
            if readable:
                got = connection.recv(1 << 18)
                if not got:
                    return
                end = end[-10:] + got
            if writable:
                data = data[connection.send(data[: 1 << 16]) :]
        except ConnectionError:
            return


def run(quick: bool) -> Result:
    size, repeats = (20_000, 1) if quick else (20_000_000, 1)
    result = Result("joins", __doc__ or "", bytes=size)
    title = f"memory growth, {size / 1e6:g} MB of joins from one client"
    growth = result.measure(title, "MB", "lower", resolution=0.1)
    joining = result.measure("longest delay of the loop, joins", "ms", "lower", resolution=0.1)
    leaving = result.measure("longest delay of the loop, hang-up", "ms", "lower", resolution=0.1)
    for peer, delays, watch in costs(PEERS, result, repeats, join, size):
        growth.add(peer, watch.growth_mb())
        joining.add(peer, delays.joining)
        leaving.add(peer, delays.leaving)
    for ours in PEERS:
        result.compare(growth, ours.name, bar=8)
        result.compare(joining, ours.name, bar=50)
        result.compare(leaving, ours.name, bar=50)
    return result


if __name__ == "__main__":
    main(run)
