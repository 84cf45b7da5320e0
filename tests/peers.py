"""The other end of an outbox, in tests that have no server."""

from __future__ import annotations

from arcly_channels.fanout.outbox import Outbox


class Peer:
    """A transport to a client that reads what it gets, or nothing while `is_reading` is false."""

    def __init__(self, *, is_reading: bool = True) -> None:
        self.is_reading = is_reading
        self.texts: list[str] = []
        self.flushes = 0
        self.close_code: int | None = None

    def flush(self, outbox: Outbox) -> None:
        self.flushes += 1
        while self.is_reading and (frame := outbox.take()) is not None:
            self.texts.append(frame.text)
        if self.is_reading:
            self.close_code = outbox.close_code
