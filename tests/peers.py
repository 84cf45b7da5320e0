"""The other end of an outbox, in tests that have no server."""

from __future__ import annotations

import asyncio

from arcly_channels.fanout.outbox import Outbox


class Peer:
    """A transport to a client that reads what it gets, or nothing while `is_reading` is false."""

    def __init__(self, *, is_reading: bool = True) -> None:
        self.is_reading = is_reading
        self.texts: list[str] = []
        self.flushes = 0
        self.close_code: int | None = None
        self.seconds_held_up = 0.0
        self.unread_bytes: int | None = None
        self.seconds_silent = 0.0

    def ask(self, outbox: Outbox) -> bool:
        return False

    def held_up(self) -> float:
        return self.seconds_held_up

    def unread(self) -> int | None:
        return self.unread_bytes

    def acknowledged(self) -> int | None:
        return None

    def silence(self) -> float:
        return self.seconds_silent

    def flush(self, outbox: Outbox) -> None:
        self.flushes += 1
        while self.is_reading and (frame := outbox.take()) is not None:
            self.texts.append(frame.text)
        if self.is_reading:
            self.close_code = outbox.close_code


class Reader(Peer):
    """A client that takes one frame in every turn of the loop."""

    def __init__(self) -> None:
        super().__init__()
        self._is_awake = False

    def flush(self, outbox: Outbox) -> None:
        if not self._is_awake:
            self._is_awake = True
            asyncio.get_running_loop().call_soon(self._read, outbox)

    def _read(self, outbox: Outbox) -> None:
        frame = outbox.take()
        self._is_awake = frame is not None
        if frame is not None:
            self.texts.append(frame.text)
            asyncio.get_running_loop().call_soon(self._read, outbox)
