"""A server that is told to end waits for the drain, whatever way it has to be told."""

from __future__ import annotations

import asyncio
import atexit
import signal
import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from arcly_channels.testing import Clock
from arcly_channels.testing.waiting import eventually, soon
from arcly_channels.transports import hold
from arcly_channels.transports.hold import hold_server


class Ending:
    """The drain of a test, which is over when `is_over` is set, and what a server was told."""

    def __init__(self) -> None:
        self.begun = 0
        self.is_over = asyncio.Event()
        self.told: list[int] = []

    async def drain(self) -> None:
        self.begun += 1
        await self.is_over.wait()

    def tell(self, number: int, *_: object) -> None:
        self.told.append(number)


SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


async def no_send(message: dict[str, Any]) -> None: ...


@pytest.fixture
async def ending() -> Ending:
    return Ending()


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    handlers = [(each, signal.getsignal(each)) for each in SIGNALS]
    descriptor = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(descriptor)
    yield
    for number, handler in handlers:
        signal.signal(number, handler)
    signal.set_wakeup_fd(descriptor)


def by_python(ending: Ending) -> None:
    """As uvicorn and Twisted do it."""
    signal.signal(signal.SIGTERM, ending.tell)
    signal.signal(signal.SIGUSR1, ending.tell)


def by_the_loop(ending: Ending) -> None:
    """As granian and hypercorn do it."""
    for number in (signal.SIGTERM, signal.SIGUSR1):
        asyncio.get_running_loop().add_signal_handler(number, ending.tell, number)


WAYS = pytest.mark.parametrize("way", [by_python, by_the_loop])


@WAYS
async def test_server_is_told_when_the_drain_is_over(
    ending: Ending, way: Callable[[Ending], None]
) -> None:
    way(ending)
    hold_server(ending.drain, no_send)
    signal.raise_signal(signal.SIGTERM)
    await eventually(lambda: ending.begun)
    assert ending.told == []
    ending.is_over.set()
    await eventually(lambda: ending.told == [signal.SIGTERM])


@WAYS
async def test_two_signals_at_once_are_one(ending: Ending, way: Callable[[Ending], None]) -> None:
    way(ending)
    hold_server(ending.drain, no_send)
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)
    await eventually(lambda: ending.begun)
    assert (ending.begun, ending.told) == (1, [])
    ending.is_over.set()
    await eventually(lambda: ending.told)


@WAYS
async def test_later_signal_is_the_servers_at_once(
    ending: Ending, way: Callable[[Ending], None], gateway_clock: Clock
) -> None:
    way(ending)
    hold_server(ending.drain, no_send)
    signal.raise_signal(signal.SIGTERM)
    await eventually(lambda: ending.begun)
    gateway_clock.jump(hold.SAME + 1)
    signal.raise_signal(signal.SIGTERM)
    await eventually(lambda: ending.told)
    assert not ending.is_over.is_set()
    ending.is_over.set()


@WAYS
async def test_other_signals_pass(ending: Ending, way: Callable[[Ending], None]) -> None:
    way(ending)
    hold_server(ending.drain, no_send)
    signal.raise_signal(signal.SIGUSR1)
    await eventually(lambda: ending.told == [signal.SIGUSR1])


async def test_server_is_told_although_the_drain_fails(ending: Ending) -> None:
    async def fail() -> None:
        asyncio.current_task().add_done_callback(lambda task: task.exception())  # type: ignore[union-attr]
        raise LookupError

    by_python(ending)
    hold_server(fail, no_send)
    signal.raise_signal(signal.SIGTERM)
    await eventually(lambda: ending.told == [signal.SIGTERM])


async def test_who_does_not_handle_sigterm_is_left_alone(ending: Ending) -> None:
    before = signal.getsignal(signal.SIGINT)
    hold_server(ending.drain, no_send)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is before


async def test_hypercorn_goes_on_when_the_drain_is_over(ending: Ending) -> None:
    is_set = asyncio.Event()

    class Terminated:
        async def set(self) -> None:
            is_set.set()

    class Stream:
        context = SimpleNamespace(terminated=Terminated())

        async def app_send(self, message: dict[str, Any]) -> None: ...

    stream = Stream()
    hold_server(ending.drain, stream.app_send)
    hold_server(ending.drain, stream.app_send)
    setting = asyncio.ensure_future(stream.context.terminated.set())
    await eventually(lambda: ending.begun)
    assert not is_set.is_set()
    ending.is_over.set()
    await soon(setting)
    assert (ending.begun, is_set.is_set()) == (1, True)


def test_loop_of_another_thread_is_drained_when_the_process_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at_exit: list[Callable[[], None]] = []
    monkeypatch.setattr(atexit, "register", at_exit.append)
    drained: list[threading.Thread] = []

    async def drain() -> None:
        drained.append(threading.current_thread())

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def serve() -> None:
        hold_server(drain, no_send)

    asyncio.run_coroutine_threadsafe(serve(), loop).result(10)
    for run in at_exit:
        run()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()
    assert drained == [thread]
