"""There is a link as long as there can be one, and nobody is asked too often."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from arcly_channels.relay.connector import FIRST_PAUSE, LONGEST_PAUSE, PATIENCE, STEADY, Connector
from arcly_channels.relay.link import Link
from arcly_channels.testing import Clock
from arcly_channels.testing.waiting import eventually, soon, turns
from tests.unit.relay.obedient import ObedientServer

REFUSED = ConnectionRefusedError("nobody is there")


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long each pause may be at most; all are as short as can be."""
    longest: list[float] = []

    def shortest(low: float, high: float) -> float:
        longest.append(high)
        return low

    monkeypatch.setattr(random, "uniform", shortest)
    return longest


class Told:
    """What a connector has told, in order: each link, and None when it was lost."""

    def __init__(self) -> None:
        self.events: list[Link | None] = []

    def up(self, link: Link) -> None:
        self.events.append(link)

    def down(self) -> None:
        self.events.append(None)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
async def connector(server: ObedientServer, told: Told) -> AsyncIterator[Connector]:
    connector = Connector(server.dial, told.up, told.down)
    yield connector
    await connector.stop()


async def linked(connector: Connector, server: ObedientServer) -> None:
    connector.start()
    await eventually(lambda: connector.link)


async def lose(connector: Connector, server: ObedientServer) -> None:
    """Lose the link, and return when there is another."""
    before = connector.link
    server.wire.cut()
    await eventually(lambda: connector.link not in {before, None})


async def test_first_attempt_is_made_at_once(
    connector: Connector, server: ObedientServer, told: Told, pauses: list[float]
) -> None:
    await linked(connector, server)
    assert told.events == [server.wire.link]
    assert pauses == []


async def test_link_that_is_lost_has_a_successor(
    connector: Connector, server: ObedientServer, told: Told, pauses: list[float]
) -> None:
    await linked(connector, server)
    await lose(connector, server)
    first, second = (wire.link for wire in server.wires)
    assert told.events == [first, None, second]


async def test_pauses_grow_up_to_a_bound(
    connector: Connector, server: ObedientServer, pauses: list[float]
) -> None:
    server.refuses = REFUSED
    connector.start()
    await eventually(lambda: len(pauses) >= 8)
    assert pauses[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert pauses == sorted(pauses)
    assert set(pauses[6:]) == {LONGEST_PAUSE}


async def test_link_that_does_not_last_is_as_bad_as_none(
    connector: Connector, server: ObedientServer, pauses: list[float]
) -> None:
    await linked(connector, server)
    for _ in range(3):
        await lose(connector, server)
    assert pauses == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]


async def test_link_that_has_lasted_is_replaced_at_once(
    connector: Connector, server: ObedientServer, pauses: list[float], gateway_clock: Clock
) -> None:
    await linked(connector, server)
    await lose(connector, server)
    gateway_clock.jump(STEADY)
    pauses.clear()
    await lose(connector, server)
    assert pauses == []


async def test_link_that_was_lost_before_it_was_given_is_not_given(
    server: ObedientServer, told: Told, no_pauses: None
) -> None:
    async def dial() -> Link:
        link = await server.dial()
        if len(server.wires) == 1:
            server.wire.cut()
        return link

    connector = Connector(dial, told.up, told.down)
    await linked(connector, server)
    assert told.events == [server.wires[1].link]
    await connector.stop()


# What is known


async def test_there_is_no_problem_before_an_attempt_has_failed(
    connector: Connector, server: ObedientServer, gateway_clock: Clock
) -> None:
    assert connector.problem is None
    gateway_clock.jump(PATIENCE)
    assert not connector.is_down


async def test_link_is_down_once_it_was_tried_for_long_enough(
    connector: Connector, server: ObedientServer, gateway_clock: Clock, no_pauses: None
) -> None:
    server.refuses = REFUSED
    connector.start()
    await eventually(lambda: connector.problem)
    assert connector.problem == "nobody is there"
    assert not connector.is_down
    gateway_clock.jump(PATIENCE)
    assert connector.is_down
    server.refuses = None
    await eventually(lambda: connector.link)
    assert not connector.is_down
    assert connector.problem is None


async def test_log_is_told_once_of_a_problem_and_once_of_its_end(
    connector: Connector,
    server: ObedientServer,
    pauses: list[float],
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.refuses = REFUSED
    connector.start()
    await eventually(lambda: len(pauses) >= 5)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "nobody is there" in caplog.text
    server.refuses = None
    await eventually(lambda: connector.link)
    assert len(caplog.records) == 2


# The end


async def test_connector_that_has_stopped_leaves_its_link_and_makes_no_other(
    connector: Connector, server: ObedientServer, told: Told, no_pauses: None
) -> None:
    await linked(connector, server)
    await connector.stop()
    await connector.stop()
    assert server.wire.link is not None
    assert server.wire.link.is_lost
    await turns()
    assert told.events == [server.wire.link]
    assert connector.link is None
    assert len(server.wires) == 1


async def test_connector_stops_in_the_middle_of_an_attempt(told: Told) -> None:
    connector = Connector(asyncio.Event().wait, told.up, told.down)  # type: ignore[arg-type]
    connector.start()
    await turns()
    await connector.stop()
    assert told.events == []


async def test_connector_begins_again_after_its_end(
    connector: Connector, server: ObedientServer, told: Told
) -> None:
    await linked(connector, server)
    await connector.stop()
    await linked(connector, server)
    assert len(server.wires) == 2


async def test_attempt_that_somebody_cancels_can_be_made_again(
    connector: Connector, server: ObedientServer
) -> None:
    before = asyncio.all_tasks()
    connector.start()
    (attempt,) = asyncio.all_tasks() - before
    attempt.cancel()  # As the end of an event loop does.
    await turns()
    await linked(connector, server)


async def test_attempt_that_misses_that_it_is_cancelled_is_ended_nevertheless(told: Told) -> None:
    missed = 0

    async def dial() -> Link:
        nonlocal missed
        try:
            return await asyncio.Event().wait()  # type: ignore[return-value]  # It never does.
        except asyncio.CancelledError:
            missed += 1
            if missed == 1:
                raise REFUSED from None
            raise

    connector = Connector(dial, told.up, told.down)
    connector.start()
    await turns()
    await soon(connector.stop())
    assert missed >= 1
    assert told.events == []


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.11 knows who was cancelled")
async def test_attempts_end_with_the_event_loop_though_one_misses_that_it_is_cancelled() -> None:
    attempts = 0

    async def dial() -> Link:
        nonlocal attempts
        attempts += 1
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)
        raise ConnectionError("nobody is there")  # As `wait_for` raises it, in place of the other.

    connector = Connector(dial, lambda link: None, lambda: None)
    connector.start()
    await eventually(lambda: attempts == 1)
    (task,) = asyncio.all_tasks() - {asyncio.current_task()}
    task.cancel()  # Once, as `asyncio.run` does at its end.
    await soon(asyncio.wait([task]))
    assert attempts == 1
