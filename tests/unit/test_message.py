"""Copies of a Channels message: equal to it, and shared with nobody."""

from __future__ import annotations

import array
import datetime
import decimal
import enum
import math
import types
import uuid
from collections import OrderedDict, defaultdict
from typing import Any, NamedTuple

import pytest
from django.utils.safestring import SafeString, mark_safe
from hypothesis import given
from hypothesis import strategies as st

from arcly_channels.layers.message import copier


class Point(NamedTuple):
    x: int
    y: list[int]


class Colour(enum.Enum):
    RED = 1


class Text(str):
    __slots__ = ()


class Thing:
    def __init__(self) -> None:
        self.parts: list[int] = []


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
    | st.binary() | st.complex_numbers(allow_nan=False),
    lambda inner: st.lists(inner) | st.tuples(inner, inner)
    | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=15,
)  # fmt: skip


@given(message=st.dictionaries(st.text(), plain))
def test_copy_equals_the_message(message: dict[str, Any]) -> None:
    assert copier(message)() == message


@pytest.mark.parametrize("value", [1, [1], Point(1, [2])], ids=["flat", "plain", "objects"])
def test_receiver_cannot_change_the_copy_of_another(value: object) -> None:
    copy = copier({"type": "x", "value": value})
    copy()["type"] = "changed"
    assert copy()["type"] == "x"


@pytest.mark.parametrize("value", [1, [1], Point(1, [2])], ids=["flat", "plain", "objects"])
def test_sender_cannot_change_a_copy(value: object) -> None:
    message = {"type": "x", "value": value}
    copy = copier(message)
    message["type"] = "changed"
    assert copy()["type"] == "x"


def test_nested_values_are_not_shared() -> None:
    message = {"a": {"b": [1, {2}]}}
    copy = copier(message)
    for changed in (message, copy()):
        changed["a"]["b"].append("changed")
    assert copy() == {"a": {"b": [1, {2}]}}


def test_contents_of_objects_are_not_shared() -> None:
    thing = Thing()
    copy = copier({"thing": thing})
    for changed in (thing, copy()["thing"]):
        changed.parts.append(1)
    assert copy()["thing"].parts == []


@pytest.mark.parametrize(
    "value",
    [
        (1, (2,)),
        {1, 2},
        frozenset({1}),
        b"bytes",
        bytearray(b"bytearray"),
        array.array("i", [1, 2]),
        1j,
        Point(1, [2]),
        Colour.RED,
        Text("text"),
        mark_safe("safe"),
        OrderedDict(a=1),
        defaultdict(list, a=[1]),
        decimal.Decimal("1.5"),
        datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc),
        datetime.timedelta(seconds=1),
        uuid.UUID(int=1),
        types.SimpleNamespace(a=[1]),
        10**30,
        math.inf,
        "\ud800",
        ...,
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [v]], ids=["bare", "in a list"])
def test_value_keeps_its_type(value: Any, wrap: Any) -> None:
    copied = copier({"value": wrap(value)})()["value"]
    assert copied == wrap(value)
    assert type(copied[0] if wrap(0) else copied) is type(value)


class Headers(dict[str, int]):
    pass


def test_message_of_a_subclass_of_dict_keeps_its_type() -> None:
    assert type(copier(Headers(a=1))()) is Headers


def test_safe_string_stays_safe() -> None:
    assert isinstance(copier({"html": mark_safe("<b>")})()["html"], SafeString)


def test_keys_of_any_type_are_kept() -> None:
    message: dict[Any, Any] = {"by": {1: "a", (1, 2): "b", None: "c"}}
    assert copier(message)() == message


def test_message_that_contains_itself_is_copied() -> None:
    message: dict[str, Any] = {"me": []}
    message["me"].append(message)
    copied = copier(message)()
    assert copied["me"][0] is copied


def test_value_that_occurs_twice_is_one_value_in_the_copy() -> None:
    shared = [1]
    copied = copier({"a": shared, "b": shared})()
    assert copied["a"] is copied["b"]


def test_message_nested_too_deeply_for_plain_copies_is_copied() -> None:
    deep: Any = 0
    for _ in range(100):
        deep = [deep]
    assert copier({"deep": deep})() == {"deep": deep}


def test_message_that_cannot_be_copied_fails_at_the_sender() -> None:
    with pytest.raises(TypeError):
        copier({"generator": (number for number in [1])})
