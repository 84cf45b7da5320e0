"""Which types a stranger could make take for ever to read."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal, NamedTuple

import pytest
from pydantic import BaseModel, Field, JsonValue, TypeAdapter
from typing_extensions import TypeAliasType, TypedDict

from arcly_channels import subscribe
from arcly_channels.gateway.readable import problem_of
from arcly_channels.gateway.subscriptions import collect


class Plus(BaseModel):
    kind: Literal["+"]
    parts: list[Plus | Times]


class Times(BaseModel):
    kind: Literal["*"]
    parts: list[Plus | Times]


class Box(TypedDict):
    inside: Box | Bag | None


@dataclasses.dataclass
class Bag:
    inside: Annotated[list[Box | Bag], Field(max_length=1)]


class Aliased(BaseModel):
    child: Aliased | Wild = Field(alias="x")


class Wild(BaseModel):
    x: dict[str, Aliased | Wild]


class Left(NamedTuple):
    child: Left | Right | None


class Right(NamedTuple):
    child: Left | Right | None


class And(BaseModel):
    all: list[And | Or]


class Or(BaseModel):
    any: list[And | Or]


class Odd(BaseModel):
    ref: int
    type: str
    choices: dict[str, int]
    default: Odd | Odder


class Odder(Odd):
    pass


class Leaf(BaseModel):
    kind: Literal["leaf"]
    parts: int


class Branch(BaseModel):
    kind: Literal["branch"]
    parts: list[Annotated[Branch | Leaf, Field(discriminator="kind")]]


class Chain(BaseModel):
    parts: Chain | Leaf | int | None


Dicts = TypeAliasType("Dicts", "dict[int, Dicts] | dict[str, Dicts] | int")
Json = TypeAliasType("Json", "dict[str, Json] | list[Json] | int | str | None")


@pytest.mark.parametrize("annotation", [Plus | Times, list[Plus], Box, Aliased, Left, Dicts, Odd])
def test_choices_that_go_on_in_the_same_field_are_told(annotation: Any) -> None:
    assert "doubles the time" in str(problem_of(TypeAdapter(annotation).core_schema))  # type: ignore[arg-type]


def test_they_are_no_types_of_data() -> None:
    class Sums:
        @subscribe("sum")
        async def add(self, data: list[Plus]) -> None: ...

    with pytest.raises(TypeError, match=r"Sums.add: the type of its data has a union that is in"):
        collect(Sums)


@pytest.mark.parametrize("annotation", [And | Or, Branch, Chain, Json, JsonValue, Leaf | And, int])
def test_others_are_fine(annotation: Any) -> None:
    assert problem_of(TypeAdapter(annotation).core_schema) is None  # type: ignore[arg-type]
