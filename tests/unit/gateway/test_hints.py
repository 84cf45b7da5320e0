"""The types in annotations of handlers: where they are looked for, and what is said of bad ones."""

from __future__ import annotations

import builtins
import functools
import typing
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

import pytest
from pydantic import BaseModel

from arcly_channels import GatewayConsumer, subscribe
from arcly_channels.gateway.subscriptions import Subscription, collect

if typing.TYPE_CHECKING:
    from decimal import Decimal

T = TypeVar("T")


class Move(BaseModel):
    x: int


class Turn(BaseModel):
    angle: float


class Moves:
    @subscribe("move")
    async def move(self, data: Move) -> Turn:
        raise NotImplementedError


def subscription(gateway: type, event: str = "move") -> Subscription:
    return collect(gateway)[event]


def types_of(gateway: type) -> tuple[Any, Any]:
    """Return the types of a handler's data and of its reply."""
    found = subscription(gateway)
    payload, reply = found.payload, found.reply
    return payload and payload.adapter._type, reply and reply.adapter._type


def test_types_are_those_of_the_annotations() -> None:
    assert types_of(Moves) == (Move, Turn)


def test_inherited_handler_keeps_its_types() -> None:
    class Gateway(Moves): ...

    assert types_of(Gateway) == (Move, Turn)


def test_override_without_annotations_keeps_the_types() -> None:
    class Gateway(Moves):
        async def move(self, data): ...  # type: ignore[no-untyped-def]  # Which is what is tried.

    assert types_of(Gateway) == (Move, Turn)


def test_override_with_annotations_has_its_own() -> None:
    class Gateway(Moves):
        async def move(self, data: Turn) -> Move:  # type: ignore[override]  # As above.
            raise NotImplementedError

    assert types_of(Gateway) == (Turn, Move)


def test_override_may_take_anything() -> None:
    class Gateway(Moves):
        async def move(self, data: Any) -> Any: ...

    assert types_of(Gateway) == (None, None)


def test_parameter_may_have_any_name() -> None:
    class Gateway:
        @subscribe("move")
        async def move(this, step: Move) -> None: ...  # noqa: N805

    assert types_of(Gateway) == (Move, None)


def test_type_may_be_defined_in_the_gateway() -> None:
    class Gateway:
        class Step(BaseModel):
            x: int

        @subscribe("move")
        async def move(self, data: Step) -> None: ...

    assert types_of(Gateway) == (Gateway.Step, None)


def test_decorated_handler_has_the_types_of_what_it_wraps() -> None:
    def logged(handler: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(handler)
        async def wrapper(*args: Any) -> Any: ...

        return wrapper

    class Gateway:
        @subscribe("move")
        @logged
        async def move(self, data: Move) -> Turn:
            raise NotImplementedError

    assert types_of(Gateway) == (Move, Turn)


@pytest.mark.parametrize("annotation", [Any, object, None])
def test_what_says_nothing_is_no_type(annotation: Any) -> None:
    async def move(self: Any, data: Any) -> None: ...

    move.__annotations__ = {} if annotation is None else {"data": annotation}
    assert types_of(type("Gateway", (), {"move": subscribe("move")(move)})) == (None, None)


def failure(annotation: Any, **more: Any) -> str:
    """Return what a class says whose handler has an annotation."""

    async def move(self: Any, data: Any) -> None: ...

    move.__annotations__["data"] = annotation
    with pytest.raises(TypeError) as caught:
        type("Gateway", (GatewayConsumer,), {"move": subscribe("move")(move), **more})
    return str(caught.value)


def test_type_that_is_not_there_at_run_time_is_named() -> None:
    told = failure("Decimal")
    assert told.startswith("Gateway.move: the type of its data cannot be found (name 'Decimal'")
    assert "nor under TYPE_CHECKING" in told


def test_type_with_names_that_are_not_there_is_named() -> None:
    told = failure(Unfinished)
    assert told.startswith("Gateway.move: the type of its data is <class")
    assert "Decimal" in told


def test_place_of_an_inherited_handler_is_named_as_well() -> None:
    class Mixin:
        @subscribe("move")
        async def move(self, data: Move) -> None: ...

    Mixin.move.__annotations__["data"] = "Decimal"
    with pytest.raises(TypeError, match=r"Gateway\.move \(of \S+Mixin\): the type of its data"):
        type("Gateway", (Mixin, GatewayConsumer), {})


def test_both_places_of_a_second_handler_are_named() -> None:
    class Other:
        @subscribe("move")
        async def go(self, data: Move) -> None: ...

    pattern = r"two handlers of 'move': Gateway\.\w+ \(of \S+\) and Gateway\.\w+ \(of \S+\)"
    with pytest.raises(TypeError, match=pattern):
        type("Gateway", (Moves, Other, GatewayConsumer), {})


def test_type_that_is_not_of_json_is_named() -> None:
    class Opaque: ...

    assert "which cannot be used: Unable to generate pydantic-core schema" in failure(Opaque)


def test_pattern_that_is_none_is_named() -> None:
    from pydantic import Field

    assert "Gateway.move: the type of its data" in failure(
        typing.Annotated[str, Field(pattern="(")]
    )


class Step(typing.TypedDict):
    x: int


@pytest.mark.skipif("sys.version_info >= (3, 12)")
def test_typed_dict_of_the_standard_library_is_named_before_3_12() -> None:
    told = failure(Step)
    assert "typing_extensions.TypedDict" in told


def test_type_variable_is_refused() -> None:
    class Base(Generic[T]):
        @subscribe("move")
        async def move(self, data: T) -> None: ...

    with pytest.raises(TypeError, match="is ~T, which stands for any"):
        collect(Base)


def test_list_of_a_type_variable_names_no_type_either() -> None:
    class Base(Generic[T]):
        @subscribe("move")
        async def move(self, data: list[T]) -> None: ...

    with pytest.raises(TypeError, match=r"is list\[~T\], which stands for any"):
        collect(Base)


def test_what_is_read_late_is_no_type_of_data() -> None:
    class Moves:
        @subscribe("move")
        async def move(self, data: dict[str, Iterable[Move]]) -> None: ...

    with pytest.raises(TypeError, match=r"\.move: the type of its data has an Iterable.*say list"):
        collect(Moves)


def test_what_is_replied_may_be_iterable() -> None:
    class Moves:
        @subscribe("move")
        async def move(self, data: Move) -> Iterable[Move]:
            return (data for _ in range(2))

    assert collect(Moves)["move"].reply is not None


@pytest.fixture
def no_pydantic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has pydantic missing."""
    real = builtins.__import__

    def import_(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.partition(".")[0] == "pydantic" or name.endswith("gateway.payloads"):
            raise ModuleNotFoundError(f"No module named {name!r}", name="pydantic")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", import_)
    monkeypatch.setattr("arcly_channels.gateway.subscriptions.find_spec", lambda name: None)


@pytest.mark.usefixtures("no_pydantic")
def test_type_of_data_needs_pydantic() -> None:
    told = failure("Move")
    assert "there is no module pydantic: pip install arcly-channels[typed]" in told


@pytest.mark.usefixtures("no_pydantic")
def test_type_of_a_reply_is_no_matter_without_pydantic() -> None:
    class Gateway:
        @subscribe("move")
        async def move(self, data: Any) -> dict[str, int]:
            raise NotImplementedError

    assert types_of(Gateway) == (None, None)


class Unfinished(BaseModel):
    price: Decimal
