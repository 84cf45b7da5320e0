"""What one process asks, and the others answer, or not in time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from arcly_channels.exceptions import RelayOutcomeUnknown, RelayUnanswered, RelayUnavailable
from arcly_channels.fanout.audience import EVERYONE
from arcly_channels.relay import questions
from arcly_channels.relay.contract import Destination, Kind, Node
from arcly_channels.relay.questions import TIMEOUT, Questions
from arcly_channels.testing import Clock
from arcly_channels.testing.waiting import eventually, soon, turns


class Street:
    """Processes that reach one another at once. `reached` is how many a question reaches more."""

    def __init__(self) -> None:
        self.processes: dict[str, Questions] = {}
        self.beyond = 0
        self.fails: Exception | None = None

    def add(self, node: str, answer: Callable[[str, Any], Awaitable[Any]]) -> Questions:
        self.processes[node] = made = Questions(node, self.tell, answer)
        return made

    async def tell(self, kind: Kind, to: Destination, body: Any) -> int:
        if self.fails is not None:
            raise self.fails
        if isinstance(to, Node):
            return self.give(self.processes[to.id], kind, body)
        asking = body[0]
        others = [each for node, each in self.processes.items() if node != asking]
        return 1 + self.beyond + sum(self.give(each, kind, body) for each in others)

    def give(self, process: Questions, kind: Kind, body: Any) -> int:
        take = process.take_question if kind is Kind.ASK else process.take_answer
        take(body)
        return 1


@pytest.fixture
def street() -> Street:
    return Street()


async def double(what: str, about: Any) -> Any:
    return [what, 2 * about]


async def never(what: str, about: Any) -> None:
    await asyncio.Event().wait()


async def fail(what: str, about: Any) -> None:
    raise LookupError(what)


async def ask(asking: Questions) -> list[Any]:
    return await soon(asking.ask(EVERYONE, "size", 4, hears_itself=True))


async def test_all_others_answer(street: Street) -> None:
    asking = street.add("one", never)
    street.add("two", double)
    street.add("three", double)
    assert await ask(asking) == [["size", 8], ["size", 8]]


async def test_one_answers(street: Street) -> None:
    asking = street.add("one", never)
    street.add("two", double)
    assert await soon(asking.ask(Node("two"), "size", 4, hears_itself=False)) == [["size", 8]]


async def test_who_is_alone_waits_for_nobody(street: Street) -> None:
    assert await ask(street.add("one", never)) == []


async def test_answers_belong_to_their_question(street: Street) -> None:
    asking = street.add("one", never)
    street.add("two", double)
    both = [asking.ask(Node("two"), "size", number, hears_itself=False) for number in (1, 2)]
    assert await soon(asyncio.gather(*both)) == [[["size", 2]], [["size", 4]]]


# No answer


async def unanswered(asking: Questions, gateway_clock: Clock) -> RelayUnanswered:
    asked = asyncio.create_task(ask(asking))
    await turns()
    gateway_clock.jump(TIMEOUT)
    with pytest.raises(RelayUnanswered) as raised:
        await asked
    return raised.value


async def test_who_does_not_answer_in_time_is_missing(street: Street, gateway_clock: Clock) -> None:
    asking = street.add("one", never)
    street.add("two", double)
    silent = street.add("three", never)
    street.beyond = 1  # It is gone, and Redis does not know yet.
    error = await unanswered(asking, gateway_clock)
    assert (error.answers, error.missing) == ([["size", 8]], 2)
    await silent.stop()


async def test_who_fails_to_answer_is_missing_and_tells_its_own_log(
    street: Street, gateway_clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    asking = street.add("one", never)
    street.add("two", fail)
    assert (await unanswered(asking, gateway_clock)).missing == 1
    assert "LookupError" in caplog.text


async def test_answer_that_is_too_late_is_nobodys(street: Street, gateway_clock: Clock) -> None:
    asking = street.add("one", never)
    silent = street.add("two", never)
    await unanswered(asking, gateway_clock)
    asking.take_answer([1, "late"])
    await silent.stop()


@pytest.mark.parametrize("error", [RelayUnavailable("down"), RelayOutcomeUnknown("no word")])
async def test_question_that_may_not_have_been_sent_raises_just_that(
    street: Street, error: Exception
) -> None:
    asking = street.add("one", never)
    street.fails = error
    with pytest.raises(type(error)):
        await ask(asking)


async def test_too_many_questions_get_no_answer(
    street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "MAX_ASKED", 2)
    started: list[Any] = []

    async def note(what: str, about: Any) -> None:
        started.append(about)
        await never(what, about)

    busy = street.add("one", note)
    for number in range(4):
        busy.take_question(["two", number, "size", number])
    await eventually(lambda: started)
    await turns()
    assert started == [0, 1]
    await busy.stop()


async def test_who_has_stopped_answers_nobody(street: Street) -> None:
    told: list[Any] = []
    released = asyncio.Event()

    async def answer(what: str, about: Any) -> None:
        await released.wait()
        told.append(about)

    answering = street.add("one", answer)
    answering.take_question(["two", 1, "size", 1])
    await turns()
    await answering.stop()
    released.set()
    await turns()
    assert told == []
