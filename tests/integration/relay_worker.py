"""One process of a project with a `RedisChannelLayer`, which does what its parent says.

Each line of its input is a command as JSON, `{"do": …}` with arguments, and each line of its output
is the answer. It writes down what it has sent and what became of that, what has arrived, where its
members were when, and each gap. `crew.py` runs several, and puts together what they have written.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

from arcly_channels.exceptions import RelayOutcomeUnknown, RelayUnavailable  # noqa: E402
from arcly_channels.fanout.outbox import Outbox  # noqa: E402
from arcly_channels.layers import RedisChannelLayer  # noqa: E402
from arcly_channels.relay import subscriber  # noqa: E402
from arcly_channels.relay.contract import Gap  # noqa: E402
from tests.peers import Peer  # noqa: E402

TICK = 0.005
LINE = 16 * 1024 * 1024
GATEWAY = "gateway!one"
ENDS = "ends"
"""A room that everybody is in: what is sent there last has arrived when all before it has."""


class Layer(RedisChannelLayer):
    """A layer that writes its gaps down, too."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.gaps: list[Gap] = []

    def tell_gap(self, gap: Gap) -> None:
        self.gaps.append(gap)
        super().tell_gap(gap)


class Worker:
    """Has two members: a plain channel that a task reads, and a gateway whose client reads at once.

    A message says who has sent it, its number there, its room, and when it was sent.
    """

    def __init__(self, number: int, options: dict[str, Any]) -> None:
        self.number = number
        self.layer = Layer(**options)
        self.calls: list[tuple[int, str, float, float, str]] = []
        self.deliveries: dict[str, list[tuple[float, int, int, str]]] = {"plain": [], "gateway": []}
        self.stays: list[tuple[str, str, float, float]] = []
        self._inside: dict[tuple[str, str], float] = {}
        self._heard: dict[int, float] = {}
        self._ends: set[int] = set()
        self._numbers = itertools.count()
        self._lateness = 0.0
        self._works: list[asyncio.Task[None]] = []
        self._sending: set[asyncio.Task[str]] = set()
        self._watching: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self._channel = await self.layer.new_channel()
        self._outbox = Outbox(self.layer.pump(), Client(self))
        self.layer.connect(GATEWAY, self._outbox)
        for watch in (self._read(), self._watch_loop()):
            self._watching.append(asyncio.create_task(watch))
        await self.layer.group_add(ENDS, self._channel)

    # Commands

    async def join(self, rooms: Sequence[str], who: Sequence[str] = ("plain", "gateway")) -> None:
        """Have members join rooms, 100 at a time."""
        for start in range(0, len(rooms), 100):
            some = rooms[start : start + 100]
            await asyncio.gather(*(self._join(each, room) for room in some for each in who))

    async def send(self, room: str, padding: int = 0) -> str:
        """Send one message to a room; return what has become of it."""
        number, started = next(self._numbers), time.time()
        message = [self.number, number, room, started, "." * padding]
        try:
            await self.layer.group_send(room, _event("message", message))
        except RelayOutcomeUnknown:
            outcome = "unknown"
        except RelayUnavailable:
            outcome = "unavailable"
        else:
            outcome = "ok"
        self.calls.append((number, room, started, time.time(), outcome))
        return outcome

    async def publish(self, rooms: Sequence[str], rate: float, padding: int = 0) -> None:
        """Begin to send so many messages a second, each to some room."""
        self._works.append(asyncio.create_task(self._publish(rooms, rate, padding)))

    async def churn(self, rooms: Sequence[str], rate: float) -> None:
        """Begin to have the plain member come to some room, or leave it, so often a second."""
        self._works.append(asyncio.create_task(self._churn(rooms, rate)))

    async def rest(self) -> None:
        """Do no more, and wait for what was begun."""
        works, self._works = self._works, []
        for work in works:
            work.cancel()
        await asyncio.gather(*works, *self._sending, return_exceptions=True)

    async def end(self) -> None:
        """Send what comes after everything else that this process has sent."""
        await self.layer.group_send(ENDS, _event("end", self.number))

    async def state(self) -> dict[str, Any]:
        """Return what can be waited for."""
        return {
            "gaps": len(self.layer.gaps),
            "heard": self._heard,
            "ends": len(self._ends),
            "problems": [why for _, why in self.layer.problems()],
        }

    async def lateness(self) -> float:
        """Return how late the loop was at most, in seconds, since this was asked last."""
        lateness, self._lateness = self._lateness, 0.0
        return lateness

    async def report(self, path: str) -> None:
        """Write everything down."""
        for (who, room), since in self._inside.items():
            self.stays.append((who, room, since, time.time()))
        found = {
            "calls": self.calls,
            "deliveries": self.deliveries,
            "stays": self.stays,
            "gaps": self.layer.gaps,
        }
        await asyncio.to_thread(Path(path).write_text, json.dumps(found))

    async def close(self) -> None:
        await self.rest()
        for task in self._watching:
            task.cancel()
        await asyncio.wait(self._watching)
        self._outbox.transport = None
        self.layer.disconnect(GATEWAY)
        await self.layer.close()

    # Inside

    def take(self, who: str, event: dict[str, Any]) -> None:
        """Write down what a member has got."""
        data = event["data"]
        if event["event"] == "message":
            publisher, number, room, started, _ = data
            self.deliveries[who].append((time.time(), publisher, number, room))
            self._heard[publisher] = max(started, self._heard.get(publisher, 0))
        elif event["event"] == "end":
            self._ends.add(data)

    async def _read(self) -> None:
        while True:
            message = await self.layer.receive(self._channel)
            self.take("plain", message)

    async def _join(self, who: str, room: str) -> None:
        await self.layer.group_add(room, self._channel if who == "plain" else GATEWAY)
        self._inside[who, room] = time.time()

    async def _leave(self, room: str) -> None:
        """Leave a room; what was sent there before this began has arrived when it ends."""
        now = time.time()
        await self.layer.group_send(room, _event("leaving", None))
        since = self._inside.pop(("plain", room))
        self.stays.append(("plain", room, since, now))
        await self.layer.group_discard(room, self._channel)

    async def _publish(self, rooms: Sequence[str], rate: float, padding: int) -> None:
        due = time.monotonic()
        while True:
            task = asyncio.create_task(self.send(random.choice(rooms), padding))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)
            due = max(due + 1 / rate, time.monotonic())  # What could not be sent then is not now.
            await asyncio.sleep(due - time.monotonic())

    async def _churn(self, rooms: Sequence[str], rate: float) -> None:
        while True:
            room = random.choice(rooms)
            with suppress(RelayOutcomeUnknown, RelayUnavailable):
                if ("plain", room) in self._inside:
                    await self._leave(room)
                else:
                    await self._join("plain", room)
            await asyncio.sleep(1 / rate)

    async def _watch_loop(self) -> None:
        while True:
            due = time.monotonic() + TICK
            await asyncio.sleep(TICK)
            self._lateness = max(self._lateness, time.monotonic() - due)


class Client(Peer):
    """The client of a gateway, which reads whatever it gets at once."""

    def __init__(self, worker: Worker) -> None:
        super().__init__()
        self._worker = worker

    def flush(self, outbox: Outbox) -> None:
        while (frame := outbox.take()) is not None:
            self._worker.take("gateway", json.loads(frame.text))


def _event(event: str, data: object) -> dict[str, Any]:
    return {"type": "gateway.event", "event": event, "data": data}


COMMANDS = ("join", "send", "publish", "churn", "rest", "end", "state", "lateness", "report")


async def main(number: int, probe: float | None, options: dict[str, Any]) -> None:
    if probe is not None:
        subscriber.PROBE = probe
    lines = asyncio.StreamReader(limit=LINE)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    worker = Worker(number, options)
    await worker.start()
    answer(None)
    while line := await lines.readline():
        command = json.loads(line)
        name = command.pop("do")
        if name not in COMMANDS:
            raise ValueError(f"{name} is no command")
        answer(await getattr(worker, name)(**command))
    await worker.close()


def answer(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(**json.loads(sys.argv[1])))
