"""A look at what waits for every connection, for metrics and for those who watch a server."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from arcly_channels.fanout.rows import Connection

FEW = 256
"""After so many connections whoever looks lets other threads run."""


class Backlog(NamedTuple):
    """How many frames wait for a connection, and the bytes of payload in them."""

    connection: Connection
    frames: int
    size: int


def backlogs(connections: Iterable[Connection]) -> Iterator[Backlog]:
    """Yield what waits for each of `connections`, from any thread; an event loop goes on meanwhile.

    The numbers of one connection may be of two moments.
    """
    for number, connection in enumerate(connections):
        if number % FEW == 0:
            time.sleep(0)  # Gives the interpreter away, which would be kept for 5 ms.
        frames = connection.outbox.pending_frames
        yield Backlog(connection, frames, connection.outbox.pending_bytes if frames else 0)
