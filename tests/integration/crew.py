"""Several processes with a `RedisChannelLayer`, and what became of what they have sent."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any, NamedTuple

from arcly_channels.relay.contract import Gap
from tests.servers import ROOT

SIZE = 4
DEADLINE = 30.0
"""Seconds that a worker has for an answer, and a crew until something is seen everywhere."""

SETTLE = 1.5
"""Seconds within which a gap that there is has been told."""


class Call(NamedTuple):
    """A message, and what became of it for who has sent it."""

    publisher: int
    number: int
    room: str
    started: float
    ended: float
    outcome: str


class Receiver(NamedTuple):
    """A member, by its process."""

    worker: int
    who: str


class Worker:
    """A child process that runs `relay_worker.py`."""

    def __init__(self, number: int, process: asyncio.subprocess.Process, log: Path) -> None:
        self.number = number
        self.pid = process.pid
        self._process = process
        self._log = log

    async def do(self, name: str, **arguments: Any) -> Any:
        """Have it obey a command; return its answer."""
        stdin = self._process.stdin
        if stdin is None:
            raise RuntimeError("the worker has no input")
        stdin.write(json.dumps({"do": name, **arguments}).encode() + b"\n")
        return await self.answer()

    async def answer(self) -> Any:
        stdout = self._process.stdout
        line = b"" if stdout is None else await asyncio.wait_for(stdout.readline(), DEADLINE)
        if not line:
            raise RuntimeError(f"worker {self.number} has ended:\n{self._log.read_text()}")
        return json.loads(line)

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    async def end(self) -> None:
        """Have it end by itself, and kill it if it does not."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), DEADLINE)
        except asyncio.TimeoutError:
            self._process.kill()
            await self._process.wait()


class Crew:
    """Workers that do the same at the same time."""

    def __init__(self, workers: Sequence[Worker], directory: Path) -> None:
        self.workers = workers
        self._directory = directory

    async def do(self, name: str, **arguments: Any) -> list[Any]:
        """Have all of them obey a command; return their answers."""
        return await asyncio.gather(*(each.do(name, **arguments) for each in self.workers))

    async def until(self, fact: Callable[[dict[str, Any]], object], *workers: Worker) -> None:
        """Return once a fact holds for the state of each, or of some; fail at the deadline."""
        some = workers or self.workers
        deadline = time.monotonic() + DEADLINE
        while not all(map(fact, states := [await each.do("state") for each in some])):
            assert time.monotonic() < deadline, states
            await asyncio.sleep(0.02)

    async def until_gaps(self, number: int, *workers: Worker) -> None:
        """Return once each was told of so many gaps."""
        await self.until(lambda state: state["gaps"] >= number, *workers)

    async def until_all_hear_all(self, *, since: float) -> None:
        """Return once each has heard of each something that was sent after `since`."""
        size = len(self.workers)
        await self.until(
            lambda state: len(state["heard"]) == size and min(state["heard"].values()) > since
        )

    async def finish(self) -> Story:
        """Let them rest, and return what they tell, once all that was sent has arrived."""
        await self.do("rest")
        await self.do("end")
        await self.until(lambda state: state["ends"] == len(self.workers))
        await asyncio.sleep(SETTLE)  # Time for gaps that should not be.
        return await self.story()

    async def story(self) -> Story:
        """Return what they tell."""
        paths = [self._directory / f"worker-{each.number}.json" for each in self.workers]
        for worker, path in zip(self.workers, paths, strict=True):
            await worker.do("report", path=str(path))
        return Story([json.loads(path.read_text()) for path in paths])


@contextlib.asynccontextmanager
async def crew(
    directory: Path,
    *hosts: dict[str, Any],
    size: int = SIZE,
    probe: float | None = None,
    **options: Any,
) -> AsyncIterator[Crew]:
    """Run a crew. Of several hosts each is for one worker, and the last for all the rest.

    The connections of a worker have its name, as in `worker-0`.
    """
    workers: list[Worker] = []
    async with contextlib.AsyncExitStack() as stack:
        for number in range(size):
            host = {**hosts[min(number, len(hosts) - 1)], "client_name": f"worker-{number}"}
            layer = {"hosts": [host], "capacity": 100_000, **options}
            arguments = {"number": number, "probe": probe, "options": layer}
            log = directory / f"worker-{number}.log"
            with log.open("wb") as errors:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "tests.integration.relay_worker"),
                    json.dumps(arguments),
                    cwd=ROOT,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=errors,
                )
            workers.append(Worker(number, process, log))
            stack.push_async_callback(workers[-1].end)
        await asyncio.gather(*(each.answer() for each in workers))
        yield Crew(workers, directory)


class Story:
    """All that workers have written down, and what is to be found in it."""

    def __init__(self, reports: Sequence[dict[str, Any]]) -> None:
        self.calls: dict[tuple[int, int], Call] = {}
        self.gaps: list[list[Gap]] = []
        """Those that each worker was told of."""
        self._got: dict[Receiver, list[tuple[float, int, int, str]]] = {}
        self._stays: dict[tuple[Receiver, str], list[tuple[float, float]]] = defaultdict(list)
        for worker, report in enumerate(reports):
            self.gaps.append([Gap(*gap) for gap in report["gaps"]])
            for call in report["calls"]:
                self.calls[worker, call[0]] = Call(worker, *call)
            for who, deliveries in report["deliveries"].items():
                self._got[Receiver(worker, who)] = [(*each,) for each in deliveries]
            for who, room, since, until in report["stays"]:
                self._stays[Receiver(worker, who), room].append((since, until))

    def outcomes(self) -> Counter[str]:
        """Return how many calls have ended how."""
        return Counter(call.outcome for call in self.calls.values())

    def longest_call(self) -> float:
        """Return for how many seconds somebody had to wait at most."""
        return max(call.ended - call.started for call in self.calls.values())

    def due(self, *outcomes: str) -> list[tuple[Receiver, Call]]:
        """Return who was to get what, of what had these outcomes."""
        rooms: dict[str, list[tuple[Receiver, float, float]]] = defaultdict(list)
        for (receiver, room), stays in self._stays.items():
            rooms[room] += [(receiver, since, until) for since, until in stays]
        return [
            (receiver, call)
            for call in self.calls.values()
            if call.outcome in outcomes
            for receiver, since, until in rooms[call.room]
            if since <= call.started and call.ended <= until
        ]

    def lost(self, *outcomes: str) -> list[tuple[Receiver, Call]]:
        """Return who did not get what, and was not told of a gap there."""
        return [
            (receiver, call)
            for receiver, call in self.missing(*outcomes)
            if not self._is_in_gap(receiver, call)
        ]

    def missing(self, *outcomes: str) -> list[tuple[Receiver, Call]]:
        """Return who did not get what."""
        got = {
            receiver: {each[1:3] for each in messages} for receiver, messages in self._got.items()
        }
        return [
            (receiver, call)
            for receiver, call in self.due(*(outcomes or ("ok",)))
            if (call.publisher, call.number) not in got[receiver]
        ]

    def duplicates(self) -> list[tuple[Receiver, int, int]]:
        """Return who got what more than once."""
        return [
            (receiver, *message)
            for receiver, messages in self._got.items()
            for message, count in Counter(each[1:3] for each in messages).items()
            if count > 1
        ]

    def ghosts(self) -> list[Call]:
        """Return what has arrived somewhere although its sender was told that it has not."""
        got = {each[1:3] for messages in self._got.values() for each in messages}
        return [
            call
            for call in self.calls.values()
            if call.outcome == "unavailable" and (call.publisher, call.number) in got
        ]

    def disorders(self) -> list[tuple[str, Receiver, Receiver]]:
        """Return in which rooms two got the same in another order, apart from gaps."""
        orders: dict[str, dict[Receiver, list[tuple[int, int]]]] = defaultdict(dict)
        for receiver, messages in self._got.items():
            for _, publisher, number, room in messages:
                if not self._is_in_gap(receiver, self.calls[publisher, number]):
                    orders[room].setdefault(receiver, []).append((publisher, number))
        return [
            (room, one, other)
            for room, by_receiver in orders.items()
            for one, other in combinations(by_receiver, 2)
            if not _agree(by_receiver[one], by_receiver[other])
        ]

    def recovery(self, since: float) -> float:
        """Return how many seconds after `since` everybody had got something new of everybody."""
        first: dict[tuple[int, int], float] = {}
        for receiver, messages in self._got.items():
            for at, publisher, number, _ in messages:
                if self.calls[publisher, number].started >= since:
                    pair = (receiver.worker, publisher)
                    first[pair] = min(at, first.get(pair, at))
        assert len(first) == len(self.gaps) ** 2, first
        return max(first.values()) - since

    def _is_in_gap(self, receiver: Receiver, call: Call) -> bool:
        return any(
            gap.since <= call.ended and call.started <= gap.until
            for gap in self.gaps[receiver.worker]
        )


def _agree(one: Iterable[tuple[int, int]], other: Iterable[tuple[int, int]]) -> bool:
    places = {message: place for place, message in enumerate(one)}
    common = [places[message] for message in other if message in places]
    return all(before < after for before, after in pairwise(common))
