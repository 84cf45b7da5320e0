"""What a message may hold if it is to reach another process: what msgpack gives back as it was."""

from __future__ import annotations

import datetime
import decimal
import enum
import math
import uuid
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple

import msgpack
import pytest
from django.contrib.auth.models import User
from django.db.models import IntegerChoices, TextChoices
from django.http import QueryDict
from django.utils.functional import SimpleLazyObject, lazystr
from django.utils.safestring import mark_safe
from hypothesis import given, settings
from hypothesis import strategies as st

from arcly_channels.exceptions import ArclyError, UnportableMessage
from arcly_channels.wire.portable import MAX_DEPTH, check_portable


class Suit(TextChoices):
    HEARTS = "h", "Hearts"


class Rank(IntegerChoices):  # type: ignore[metaclass]  # The stubs are mistaken.
    ACE = 1, "Ace"


class Colour(enum.Enum):
    RED = "red"


class Point(NamedTuple):
    x: int
    y: int


class Real(float):
    pass


class Raw(bytes):
    pass


class Row(list[Any]):
    pass


ALMOST_64_BITS = st.sampled_from([-(2**63) - 1, -(2**63), 2**63, 2**64 - 1, 2**64])
ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | ALMOST_64_BITS
    | st.floats()
    | st.text()
    | st.text(st.characters(categories=["Ll", "Cs"]))  # Halves of surrogate pairs, too.
    | st.binary()
    | st.sampled_from([Suit.HEARTS, Rank.ACE, Colour.RED, mark_safe("<b>"), lazystr("a"), Real(1)])
    | st.sampled_from([Raw(b"a"), decimal.Decimal(1), uuid.UUID(int=1), datetime.date.min, object])
    | st.binary().map(bytearray)
    | st.just(memoryview(b"a"))
)
KEYS = ATOMS.filter(lambda key: not isinstance(key, bytearray)) | st.tuples(st.integers())
VALUES = st.recursive(
    ATOMS | st.frozensets(st.integers()) | st.sets(st.integers()),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.lists(inner).map(Row)
        | st.tuples(inner, inner).map(lambda pair: Point(*pair))
        | st.dictionaries(KEYS, inner)
        | st.dictionaries(st.text(), inner).map(OrderedDict)
        | st.dictionaries(st.text(), inner).map(lambda items: defaultdict(list, items))
        | st.dictionaries(st.text(), inner).map(MappingProxyType)
    ),
    max_leaves=10,
)


def is_portable(value: Any) -> bool:
    try:
        check_portable({"value": value})
    except UnportableMessage:
        return False
    return True


def is_carried(value: Any) -> bool:
    """Return whether msgpack takes a value, and gives back the same."""
    try:
        packed = msgpack.packb(value)
        return is_same(value, msgpack.unpackb(packed, strict_map_key=False))
    except (TypeError, ValueError, OverflowError):
        return False


def is_same(sent: Any, came: Any) -> bool:
    """Return whether what came is what was sent, or its base type; a tuple comes as a list."""
    if type(sent) is tuple:
        sent = list(sent)
    if not isinstance(sent, type(came)) or isinstance(sent, bool) != isinstance(came, bool):
        return False
    if isinstance(came, dict):
        pairs = zip(dict.items(sent), came.items(), strict=True)
        return all(is_same(key, k) and is_same(value, v) for (key, value), (k, v) in pairs)
    if isinstance(came, list):
        return len(sent) == len(came) and all(map(is_same, sent, came))
    return bool(sent == came) or (sent != sent and came != came)


@settings(max_examples=300)
@given(VALUES)
def test_message_is_portable_if_msgpack_gives_it_back(value: Any) -> None:
    assert is_portable(value) == is_carried(value)


@pytest.mark.parametrize(
    "value",
    [
        "é😀",
        math.nan,
        -(2**63),
        2**64 - 1,
        b"\xff",
        (1, (2, [3])),
        {1: {None: 1}, b"k": 2, 1.5: 3, False: 4},
        Suit.HEARTS,
        Rank.ACE,
        mark_safe("<b>"),
        Counter("aab"),
        {Suit.HEARTS: 1},
    ],
    ids=repr,
)
def test_value_that_a_relay_carries_passes(value: Any) -> None:
    check_portable({"type": "x", "value": value})
    assert is_carried(value)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (User(username="ann"), "it is of the type User; send its key or its text"),
        (decimal.Decimal("1.5"), "it is of the type Decimal; send its key or its text"),
        ({1, 2}, "it is of the type set; send a list"),
        (bytearray(b"a"), "it is of the type bytearray; send bytes"),
        (Point(1, 2), "it is of the type Point; send its key or its text"),
        (QueryDict("a=1&a=2"), "it is of the type QueryDict; send its key or its text"),
        (
            SimpleLazyObject(lambda: "a"),
            "it is of the type SimpleLazyObject; send its key or its text",
        ),
        (2**64, "it is beyond 64 bits; send a str"),
        ("\ud800", "it has half a surrogate pair; send bytes"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_value_that_no_relay_carries_is_named(value: Any, problem: str) -> None:
    with pytest.raises(UnportableMessage) as raised:
        check_portable({"type": "x", "orders": [{"price": 1}, {"price": value}]})
    assert (raised.value.path, raised.value.problem) == ("message.orders[1].price", problem)
    assert not is_carried(value)


@pytest.mark.parametrize("key", [(1, 2), "\ud800", 2**64, Colour.RED, frozenset()], ids=repr)
def test_key_that_no_relay_carries_is_named(key: Any) -> None:
    with pytest.raises(UnportableMessage) as raised:
        check_portable({"type": "x", "counts": {"fine": 1, key: object()}})
    assert raised.value.path == f"message.counts.<key {key!r}>"
    assert not is_carried({key: 1})


def nested(depth: int, wrap: Callable[[Any], Any]) -> dict[str, Any]:
    """Return a message of so many containers inside one another."""
    value: Any = 1
    for _ in range(depth - 1):
        value = wrap(value)
    return {"value": value}


@pytest.mark.parametrize(
    "wrap", [lambda each: [each], lambda each: {"a": each}], ids=["list", "dict"]
)
def test_message_may_be_so_deep_and_no_deeper(wrap: Callable[[Any], Any]) -> None:
    check_portable(nested(MAX_DEPTH, wrap))
    assert is_carried(nested(MAX_DEPTH + 5, wrap))
    with pytest.raises(UnportableMessage, match="nested too deeply"):
        check_portable(nested(MAX_DEPTH + 1, wrap))


def test_message_that_contains_itself_is_refused_with_a_short_path() -> None:
    message: dict[str, Any] = {}
    message["all"] = [message, message]
    with pytest.raises(UnportableMessage, match="contains itself") as raised:
        check_portable(message)
    assert len(raised.value.path) < 210


def test_refusal_is_an_arcly_error_and_a_type_error_and_ends_in_the_advice() -> None:
    with pytest.raises(UnportableMessage, match=r"send its key or its text, or else$") as raised:
        check_portable({"value": SimpleNamespace()}, ", or else")
    assert isinstance(raised.value, ArclyError)
    assert isinstance(raised.value, TypeError)
