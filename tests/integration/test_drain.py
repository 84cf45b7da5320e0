"""The end of a server: everybody is told, and said goodbye to, and it does not take for ever.

`make drain` runs the long form, with 200 clients and one situation at a time.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from itertools import count as numbers_from
from pathlib import Path
from typing import NamedTuple, TypeVar

import pytest

from arcly_channels.testing.waiting import eventually, soon
from tests.clients import Visitor, connected
from tests.integration.test_outbound import SERVERS
from tests.integration.witness import Witness
from tests.servers import Server, demo_server, skip_for_want_of

T = TypeVar("T")

PROJECT = "tests.integration.drain_project:application"
NAMES = ("daphne", "uvicorn", "hypercorn", "granian")
RATE = 10
"""How many clients should come back in a second; a spread is 100 ms for each, so."""


class Crowd(NamedTuple):
    """Who is connected when the server is told to end, and what goes on then.

    Clients are of the kinds in turns, and every other one speaks `arcly.v1`.
    """

    paths: Sequence[str] = ("/",)
    work: Sequence[str] = ("",)
    """Which event they send whose handler takes 30 s, if any."""
    answers: Sequence[bool] = (True,)
    """Whether they answer a close."""
    stalled: int = 0
    """How many more read nothing, and something waits for them."""
    chatter: bool = False
    """Whether there is a broadcast going on."""
    signals: int = 1
    """How often the server is told."""
    group: bool = False
    """Whether all of its processes are, as systemd does it."""


CROWDS = {
    "idle": Crowd(),
    "long handler": Crowd(work=("work",)),
    "stubborn handler": Crowd(work=("insist",)),
    "long goodbye": Crowd(paths=("/thoughtful",)),
    "stalled": Crowd(stalled=3),
    "no answer": Crowd(answers=(False,)),
    "broadcast": Crowd(chatter=True),
    "twice": Crowd(signals=2),
    "all processes": Crowd(paths=("/thoughtful",), group=True),
    "everything": Crowd(
        paths=("/", "/thoughtful", "/"),
        work=("", "", "work", "insist", "work"),
        answers=(True, True, True, False),
        stalled=3,
        chatter=True,
        signals=2,
    ),
}


class Outcome(NamedTuple):
    """How it ended, for those who read and for the gateway."""

    seconds: float | None
    """After how long the server was gone; None if it was not."""
    codes: Counter[int | None]
    """With which codes sockets were closed, and how many."""
    byes: Counter[tuple[int, str, int]]
    """What the last frames advised: code, reconnect, and spread."""
    goodbyes: Counter[str]
    """How often which connection was said goodbye to, to the end."""
    codes_of_goodbyes: set[str]
    late: list[object]
    """What became of one who came too late, and of one who speaks `arcly.v1`."""
    log: str


def start(name: str, directory: Path, deadline: float, goodbye: float) -> Server:
    if find_spec(name) is None:
        skip_for_want_of(name)
    arguments = [*SERVERS[name][:-1], PROJECT]
    settings = {"DRAIN_DEADLINE": deadline, "RECONNECT_RATE": RATE}
    environment = {"TEST_ARCLY_CHANNELS": json.dumps(settings), "GOODBYE": str(goodbye)}
    return Server(*arguments, directory=directory, environment=environment)


async def gathered(port: int, crowd: Crowd, count: int) -> tuple[list[Witness], list[Witness]]:
    """Connect a crowd; return who reads and who is stalled, once it does what it is there for."""
    stalled = [await Witness.connect(port, "/stalled") for _ in range(crowd.stalled)]
    for each in stalled:
        each.stall()
    readers = [
        await Witness.connect(
            port,
            nth(crowd.paths, number),
            is_v1=number % 2 == 0,
            answers=nth(crowd.answers, number),
        )
        for number in range(count)
    ]
    for reader in readers:
        await soon(reader.until("ready"))
    if stalled:
        await ask(readers[0], "fill", None)
    if crowd.chatter:
        await ask(readers[0], "chatter", 0.02)
    for number, reader in enumerate(readers):
        if event := nth(crowd.work, number):
            await ask(reader, event, 30)
    return readers, stalled


def nth(of: Sequence[T], number: int) -> T:
    return of[number % len(of)]


async def ask(client: Witness, event: str, data: object) -> None:
    client.send(event, data)
    await soon(client.until("working"))


async def outcome(
    server: Server, crowd: Crowd, count: int, limit: float, *, late: bool = False
) -> Outcome:
    """Tell a server to end while a crowd is there; wait for that for so many seconds."""
    readers, stalled = await gathered(server.port, crowd, count)
    started = time.monotonic()
    reading = [asyncio.create_task(each.until_closed()) for each in readers]
    for number in range(crowd.signals):
        await asyncio.sleep(0.05 * number)
        (os.killpg if crowd.group else os.kill)(server.pid, signal.SIGTERM)
    await eventually(lambda: any(each.code for each in readers))
    came_late = [await newcomer(server.port, is_v1) for is_v1 in (False, True) if late]
    has_ended = await asyncio.to_thread(server.wait, limit)
    seconds = time.monotonic() - started if has_ended else None
    server.stop(signal.SIGKILL)
    await soon(asyncio.gather(*reading))
    for each in stalled:
        each.leave()
    log = server.log.read_text()
    gone = re.findall(r"gone is (\d+) (\d+)", log)
    return Outcome(
        seconds,
        Counter(each.code for each in readers),
        Counter(bye for each in readers if (bye := each.bye)),
        Counter(id for id, _ in gone),
        {code for _, code in gone},
        came_late,
        log,
    )


async def newcomer(port: int, is_v1: bool) -> object:
    """Return how one is received who comes now."""
    try:
        client = await Witness.connect(port, is_v1=is_v1)
        await soon(client.until_closed())
    except ConnectionRefusedError as refusal:
        return str(refusal).split("\r\n", maxsplit=1)[0]
    return (client.bye, client.code)


def check(found: Outcome, crowd: Crowd, count: int) -> None:
    everybody = count + crowd.stalled
    assert found.seconds is not None, found.log
    assert found.codes == {1012: count}
    assert found.byes == {(1012, "yes", everybody * 1000 // RATE): (count + 1) // 2}
    assert set(found.goodbyes.values()) == {1}
    assert (len(found.goodbyes), found.codes_of_goodbyes) == (everybody, {"1012"})
    assert "Traceback" not in found.log


@pytest.mark.parametrize("name", NAMES)
async def test_everybody_is_told_and_nobody_is_let_in(name: str, tmp_path: Path) -> None:
    crowd, count = CROWDS["all processes"], 20
    with start(name, tmp_path, deadline=10, goodbye=1) as server:
        found = await outcome(server, crowd, count, 20, late=True)
    check(found, crowd, count)
    refused, told = found.late
    assert str(refused).startswith("HTTP/1.1 403")
    assert told == ((1012, "yes", count * 1000 // RATE), 1012)


@pytest.mark.parametrize("name", NAMES)
async def test_neither_handlers_nor_clients_keep_it(name: str, tmp_path: Path) -> None:
    crowd, count = CROWDS["everything"], 20
    with start(name, tmp_path, deadline=6, goodbye=0.2) as server:
        check(await outcome(server, crowd, count, 20), crowd, count)


@pytest.mark.long
@pytest.mark.parametrize("situation", CROWDS)
@pytest.mark.parametrize("name", NAMES)
async def test_server_is_gone_by_the_deadline(name: str, situation: str, tmp_path: Path) -> None:
    crowd, count = CROWDS[situation], 200
    with start(name, tmp_path, deadline=10, goodbye=3) as server:
        found = await outcome(server, crowd, count, 20)
    sys.stdout.write(f"{name}, {situation}: {found.seconds:.2f} s, {found.codes}\n")
    check(found, crowd, count)
    assert found.seconds is not None
    assert found.seconds <= 10


# Django's development server, with autoreload and without


@pytest.mark.parametrize("options", [(), ("--noreload",)], ids=["autoreload", "noreload"])
def test_runserver_closes_with_1012(options: tuple[str, ...], tmp_path: Path) -> None:
    with demo_server(tmp_path, "manage.py", "runserver", *options, "{port}") as server:
        visitor = Visitor(server)
        visitor.enter(name="Ada", room="tea")
        with connected(server, visitor.headers()) as ada:
            ada.sync()
            os.kill(server.pid if options else child_of(server.pid), signal.SIGTERM)
            assert ada.closed() == 1012


def child_of(pid: int) -> int:
    """Return the process that autoreload starts again and again, to serve."""
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text())


# A rolling restart


class Roamer:
    """A client of `arcly.v1` that follows the advice of each bye, to the next of its servers."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._ports = ports
        self._client: Witness | None = None
        self.stays: list[int] = []
        """Where it was let in, in order."""
        self.turned_away = 0

    def is_at(self, port: int) -> bool:
        """Return whether it is connected there now."""
        return self._client is not None and self.stays[-1] == port

    async def roam(self, start: int) -> None:
        """Be connected for ever, first to the port with that number."""
        for number in numbers_from(start):
            try:
                await self._stay(nth(self._ports, number))
            except ConnectionError:
                self.turned_away += 1

    async def _stay(self, port: int) -> None:
        """Be connected until there is a bye, and for as long as it advises to nobody."""
        client = await Witness.connect(port, is_v1=True)
        try:
            await client.until("ready")
            self._client = client
            self.stays.append(port)
            await client.until_closed()
        finally:
            self._client = None
            client.leave()
        assert client.bye is not None, client.code
        await asyncio.sleep(random.uniform(0, client.bye[-1] / 1000))


async def test_rolling_restart_loses_nobody_for_longer_than_advised(tmp_path: Path) -> None:
    with (
        start("daphne", tmp_path, deadline=5, goodbye=0) as one,
        start("uvicorn", tmp_path, deadline=5, goodbye=0) as other,
    ):
        roamers = [Roamer([one.port, other.port]) for _ in range(20)]
        roaming = [asyncio.create_task(each.roam(number)) for number, each in enumerate(roamers)]
        await eventually(lambda: all(each.stays for each in roamers))
        for restarted, left in ((one, other), (other, one)):
            await asyncio.to_thread(restarted.stop)
            await asyncio.to_thread(restarted.start)
            await eventually(partial(are_at, roamers, left.port))
        for task in roaming:
            task.cancel()
        ends = await asyncio.gather(*roaming, return_exceptions=True)
    assert {type(end) for end in ends} == {asyncio.CancelledError}
    assert [each.turned_away for each in roamers] == [0] * len(roamers)


def are_at(roamers: list[Roamer], port: int) -> bool:
    return all(each.is_at(port) for each in roamers)
