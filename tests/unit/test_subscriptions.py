"""`@subscribe`: which method handles which event."""

from __future__ import annotations

from typing import Any

import pytest

from arcly_channels.gateway.subscriptions import collect, subscribe


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

    with pytest.raises(TypeError, match=r"Gateway has two handlers of 'a': one and other"):
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


def test_handler_that_is_not_async_is_refused() -> None:
    with pytest.raises(TypeError, match="is an async def"):

        @subscribe("a")  # type: ignore[type-var]  # The mistake.
        def handler(self: Any, data: Any) -> None: ...


def test_handler_without_data_is_refused() -> None:
    with pytest.raises(TypeError, match=r"takes \(self, data\)"):

        @subscribe("a")  # type: ignore[type-var]  # The mistake.
        async def handler(self: Any) -> None: ...


def test_handler_may_take_more_with_defaults() -> None:
    class Gateway:
        @subscribe("a")
        async def on_a(self, data: Any, more: int = 0) -> None: ...

    assert methods(Gateway) == {"a": "on_a"}
