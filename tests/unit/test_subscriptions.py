"""`@subscribe`: which method handles which event."""

from __future__ import annotations

import functools
import re
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import pytest
from asgiref.sync import sync_to_async

from arcly_channels.gateway.handling import Terms
from arcly_channels.gateway.subscriptions import collect, subscribe
from arcly_channels.session.rate import Rate


def methods(gateway: type) -> dict[str, str]:
    """Return the method for each event."""
    return {event: each.method for event, each in collect(gateway).items()}


def test_marked_methods_are_found_by_event() -> None:
    class Gateway:
        @subscribe("message.send")
        async def send(self, data: Any) -> None: ...

        @subscribe("room.join")
        async def join(self, data: Any) -> None: ...

        async def unmarked(self, data: Any) -> None: ...

    assert methods(Gateway) == {"message.send": "send", "room.join": "join"}


def test_inherited_methods_are_found() -> None:
    class Base:
        @subscribe("a")
        async def on_a(self, data: Any) -> None: ...

    class Gateway(Base):
        @subscribe("b")
        async def on_b(self, data: Any) -> None: ...

    assert methods(Gateway) == {"a": "on_a", "b": "on_b"}


def test_overridden_method_stays_subscribed() -> None:
    class Base:
        @subscribe("a")
        async def on_a(self, data: Any) -> None: ...

    class Gateway(Base):
        async def on_a(self, data: Any) -> None: ...

    assert methods(Gateway) == {"a": "on_a"}


def test_method_that_is_marked_anew_has_the_new_event() -> None:
    class Base:
        @subscribe("old")
        async def handle(self, data: Any) -> None: ...

    class Gateway(Base):
        @subscribe("new")
        async def handle(self, data: Any) -> None: ...

    assert methods(Gateway) == {"new": "handle"}


def test_methods_of_several_bases_are_found() -> None:
    class One:
        @subscribe("a")
        async def on_a(self, data: Any) -> None: ...

    class Other:
        @subscribe("b")
        async def on_b(self, data: Any) -> None: ...

    class Gateway(One, Other): ...

    assert methods(Gateway) == {"a": "on_a", "b": "on_b"}


def test_second_handler_of_an_event_is_refused() -> None:
    class Gateway:
        @subscribe("a")
        async def one(self, data: Any) -> None: ...

        @subscribe("a")
        async def other(self, data: Any) -> None: ...

    with pytest.raises(
        TypeError, match=r"Gateway has two handlers of 'a': \S+\.one and \S+\.other"
    ):
        collect(Gateway)


def test_second_handler_of_an_inherited_event_is_refused() -> None:
    class Base:
        @subscribe("a")
        async def one(self, data: Any) -> None: ...

    class Gateway(Base):
        @subscribe("a")
        async def other(self, data: Any) -> None: ...

    with pytest.raises(TypeError, match="two handlers of 'a'"):
        collect(Gateway)


@pytest.mark.parametrize("event", ["", None, 1, b"a"])
def test_event_that_is_no_name_is_refused(event: Any) -> None:
    with pytest.raises(TypeError, match="wants the name of an event"):
        subscribe(event)


def test_mark_without_a_name_is_refused() -> None:
    with pytest.raises(TypeError, match="wants the name of an event"):

        @subscribe  # type: ignore[arg-type]  # The mistake.
        async def handler(self: Any, data: Any) -> None: ...


def generator(self: Any, data: Any) -> Iterator[None]:
    yield


async def async_generator(self: Any, data: Any) -> AsyncIterator[None]:
    yield


NO_HANDLERS: list[Any] = [generator, async_generator, None, "text", partial(print), Any]
NO_HANDLERS += [staticmethod(methods), classmethod(methods)]


@pytest.mark.parametrize("handler", NO_HANDLERS)
def test_what_is_no_method_is_refused(handler: Any) -> None:
    with pytest.raises(
        TypeError, match="must be an async def or a def of the class, without `yield`"
    ):
        subscribe("a")(handler)


def test_handler_without_data_is_refused() -> None:
    with pytest.raises(TypeError, match=r"must take \(self, data\)"):

        @subscribe("a")  # type: ignore[type-var]  # The mistake.
        async def handler(self: Any) -> None: ...


def test_overriding_method_is_looked_at_too() -> None:
    class Base:
        @subscribe("a")
        async def on_a(self, data: Any) -> None: ...

    class Gateway(Base):
        async def on_a(self) -> None: ...  # type: ignore[override]  # The mistake.

    class Without(Base):
        on_a = None  # type: ignore[assignment]  # The mistake.

    with pytest.raises(TypeError, match=r"must take \(self, data\)"):
        collect(Gateway)
    with pytest.raises(TypeError, match="the handler of 'a' must be an async def or a def"):
        collect(Without)


def test_handler_may_take_more_with_defaults() -> None:
    class Gateway:
        @subscribe("a")
        async def on_a(self, data: Any, more: int = 0) -> None: ...

    assert methods(Gateway) == {"a": "on_a"}


# Limits


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"timeout": 0}, "timeout is a number of seconds above 0, not 0"),
        ({"timeout": -1}, "timeout is a number of seconds"),
        ({"timeout": float("nan")}, "timeout is a number of seconds"),
        ({"timeout": float("inf")}, "timeout is a number of seconds"),
        ({"timeout": "5"}, "timeout is a number of seconds"),
        ({"timeout": True}, "timeout is a number of seconds"),
        ({"rate": "20"}, "a rate is '20/s', '5/m' or '100/h', say, not '20'"),
        ({"rate": 20}, "a rate is"),
        ({"burst": 5}, "a burst needs a rate"),
        ({"rate": "20/s", "burst": 0}, "burst: a whole number of at least 1"),
        ({"concurrency": 0}, "concurrency: a whole number of at least 1 is needed, not 0"),
        ({"concurrency": True}, "concurrency: a whole number"),
        ({"concurrency": 1.5}, "concurrency: a whole number"),
        ({"concurrency": None}, "concurrency: a whole number"),
    ],
    ids=str,
)
def test_limit_that_is_none_is_refused(options: Any, problem: str) -> None:
    with pytest.raises(TypeError, match=re.escape(f"@subscribe('a'): {problem}")):
        subscribe("a", **options)


def test_only_a_coroutine_without_limits_is_plain() -> None:
    class Gateway:
        @subscribe("plain")
        async def on_plain(self, data: Any) -> None: ...

        @subscribe("def")
        def on_def(self, data: Any) -> None: ...

        @subscribe("rate", rate="1/s")
        async def on_rate(self, data: Any) -> None: ...

    assert [event for event, each in collect(Gateway).items() if each.is_plain] == ["plain"]


def test_overridden_method_keeps_its_limits() -> None:
    class Base:
        @subscribe("a", timeout=5, rate="20/s", burst=3, concurrency=2)
        async def on_a(self, data: Any) -> None: ...

    class Gateway(Base):
        async def on_a(self, data: Any) -> None: ...

    assert collect(Gateway)["a"].terms == Terms(5, Rate(20, 3), 2)


def test_method_that_is_marked_anew_has_the_new_limits_only() -> None:
    class Base:
        @subscribe("a", timeout=5, rate="20/s")
        async def on_a(self, data: Any) -> None: ...

    class Gateway(Base):
        @subscribe("a", concurrency=2)
        async def on_a(self, data: Any) -> None: ...

    assert collect(Gateway)["a"].terms == Terms(concurrency=2)


def test_override_is_run_as_what_it_is() -> None:
    class Base:
        @subscribe("a")
        async def on_a(self, data: Any) -> None: ...

        @subscribe("b")
        def on_b(self, data: Any) -> Any: ...

    class Gateway(Base):
        def on_a(self, data: Any) -> None: ...  # type: ignore[override]  # As is this one.

        async def on_b(self, data: Any) -> None: ...

    in_thread = {event: each.terms.in_thread for event, each in collect(Gateway).items()}
    assert in_thread == {"a": True, "b": False}


def test_decorated_coroutine_is_one() -> None:
    def logged(function: Any) -> Any:
        @functools.wraps(function)
        def call(self: Any, data: Any) -> Any:
            return function(self, data)

        return call

    class Gateway:
        @subscribe("wrapped")
        @logged
        async def on_wrapped(self, data: Any) -> None: ...

        @subscribe("in thread")
        @sync_to_async
        def on_in_thread(self, data: Any) -> None: ...

    assert all(each.is_plain for each in collect(Gateway).values())
