"""What every benchmarked server can be told to do, and the frames that it sends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

ROOM = "bench"
MEMBER_PATH = "/member"
CONTROL_PATH = "/control"

READY = '{"event":"ready","data":null}'
ENVELOPE_SHELL = len('{"event":"tick","data":}')
_DATA_SHELL = len('{"n":"","p":""}') + 20

Broadcast = Callable[[int, int], Awaitable[None]]
"""Sends tick `number`, a text of `size` bytes, to everyone in the room."""


def tick_data(number: int, size: int, shell: int = ENVELOPE_SHELL) -> dict[str, str]:
    """The payload that makes a text of exactly `size` bytes, `shell` of them around it."""
    return {"n": f"{number:020d}", "p": "x" * (size - shell - _DATA_SHELL)}


def tick_text(number: int, size: int) -> str:
    """The same tick as an encoded envelope, byte for byte what our gateway sends."""
    padding = "x" * (size - ENVELOPE_SHELL - _DATA_SHELL)
    return f'{{"event":"tick","data":{{"n":"{number:020d}","p":"{padding}"}}}}'


class Commands:
    """The commands of one server process.

    * `go`: `rounds` loop turns of exactly `burst` broadcasts each, numbered from `first`,
      `interval` seconds apart; `stamped`, their number is the time, `time.monotonic_ns()`.
    * `say`: one broadcast carrying the number that the client gave.
    * `flood`: a handler that takes `pause` seconds for each frame. Everything received is counted.
    * `steady`: broadcasts of `size` bytes for `seconds`, a pause of `interval` after each; the
      reply says how many there were and how long the longest took.
    * `echo`: nothing, with a reply; `noop`: nothing.
    * `block`: an ORM query that lasts `seconds`, made as Channels' documentation says.
    * `watch`, `report`: start and read the measurement of the loop's delay; `report` also tells
      what `flood` counted.
    """

    def __init__(self) -> None:
        self._delay = LoopDelay()
        self._flooded_frames = 0
        self._flooded_bytes = 0

    async def obey(
        self, event: str, data: dict[str, Any], broadcast: Broadcast
    ) -> dict[str, Any] | None:
        """Carry out one command; return the reply for whoever gave it, None if none is due."""
        if event == "flood":
            self._flooded_frames += 1
            self._flooded_bytes += len(data["p"])
            await asyncio.sleep(data["pause"])
            return None
        if event == "say":
            await broadcast(data["n"], data["size"])
            return None
        if event == "noop":
            return None
        if event == "echo":
            return {}
        if event == "steady":
            return await steady(broadcast, **data)
        if event == "go":
            await paced(broadcast, **data)
            return {}
        if event == "block":
            from .orm import slow_query

            await slow_query(data["seconds"])
            return {}
        if event == "watch":
            self._delay.start()
            return {}
        if event == "report":
            return {
                "worst_delay": self._delay.stop(),
                "flooded_frames": self._flooded_frames,
                "flooded_bytes": self._flooded_bytes,
            }
        raise ValueError(f"unknown command {event!r}")


async def paced(
    broadcast: Broadcast,
    *,
    rounds: int,
    burst: int,
    size: int,
    first: int = 0,
    interval: float = 0,
    stamped: bool = False,
) -> None:
    """`rounds` times `burst` broadcasts; the sleep after each burst, even of 0 s, ends the turn."""
    number = first
    for _ in range(rounds):
        for _ in range(burst):
            await broadcast(time.monotonic_ns() if stamped else number, size)
            number += 1
        await asyncio.sleep(interval)


async def steady(
    broadcast: Broadcast, *, seconds: float, size: int, interval: float
) -> dict[str, float]:
    """Broadcast for `seconds`, with a pause after each; see `Tally`."""
    tally = Tally()
    while not tally.is_over(seconds):
        with tally:
            await broadcast(tally.calls, size)
        await asyncio.sleep(interval)
    return tally.as_json()


def steady_in_thread(
    broadcast: Callable[[int, int], None], *, seconds: float, size: int, interval: float
) -> dict[str, float]:
    """The same, in a thread."""
    tally = Tally()
    while not tally.is_over(seconds):
        with tally:
            broadcast(tally.calls, size)
        time.sleep(interval)
    return tally.as_json()


class Tally:
    """Calls, each in a `with`: how many there were and timed out, how long the longest took."""

    def __init__(self) -> None:
        self.calls = 0
        self._timed_out = 0
        self._longest = 0.0
        self._started = self._before = time.perf_counter()

    def is_over(self, seconds: float) -> bool:
        return time.perf_counter() - self._started >= seconds

    def as_json(self) -> dict[str, float]:
        elapsed = time.perf_counter() - self._started
        sent = self.calls - self._timed_out
        return {"sent": sent, "longest": self._longest, "rate": sent / elapsed}

    def __enter__(self) -> None:
        self._before = time.perf_counter()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        self.calls += 1
        self._longest = max(self._longest, time.perf_counter() - self._before)
        has_timed_out = kind is not None and issubclass(kind, TimeoutError)
        self._timed_out += has_timed_out
        return has_timed_out


class LoopDelay:
    """The longest time by which the loop was late for a callback due every millisecond."""

    _PERIOD = 0.001

    def __init__(self) -> None:
        self._worst = 0.0
        self._due = 0.0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._worst = 0.0
        self._due = time.perf_counter() + self._PERIOD
        self._task = asyncio.get_running_loop().create_task(self._watch())

    def stop(self) -> float:
        """End the measurement; seconds, 0.0 if none was running."""
        if self._task is None:
            return 0.0
        self._task.cancel()
        self._task = None
        self._note()
        return self._worst

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._due - time.perf_counter())
            self._note()
            self._due = time.perf_counter() + self._PERIOD

    def _note(self) -> None:
        self._worst = max(self._worst, time.perf_counter() - self._due)
