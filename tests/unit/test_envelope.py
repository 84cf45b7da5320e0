"""The wire format: what is written, what is refused, and what is read back."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import itertools
import json
import math
import uuid
from collections import OrderedDict
from typing import Any, NamedTuple
from unittest import mock

import orjson
import pytest
from django.contrib.auth.models import User
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import IntegerChoices, TextChoices
from django.utils.functional import lazystr
from django.utils.safestring import mark_safe
from hypothesis import given
from hypothesis import strategies as st

from arcly_channels.exceptions import EnvelopeError, MalformedFrame
from arcly_channels.wire import blame
from arcly_channels.wire.envelope import Event, Frame, Ref, decode, encode, size_of
from arcly_channels.wire.events import encode_event

UTC = datetime.timezone.utc

numbers = st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
refs = st.none() | st.integers(0, 2**53 - 1) | st.text(max_size=64)


class Suit(TextChoices):
    HEARTS = "h", "Hearts"


class Rank(IntegerChoices):  # type: ignore[metaclass]  # The stubs are mistaken.
    ACE = 1, "Ace"


class Colour(enum.Enum):
    RED = "red"


class Point(NamedTuple):
    x: int
    y: int


class Text(str):
    __slots__ = ()


class Whole(int):
    pass


class Real(float):
    pass


@dataclasses.dataclass
class Line:
    name: str
    price: decimal.Decimal
    note: object = None


def written(data: Any) -> Any:
    """Return what the client reads as the data of an event."""
    return json.loads(encode_event("e", data).text)["data"]


def refusal(data: Any) -> EnvelopeError:
    with pytest.raises(EnvelopeError) as raised:
        encode_event("e", data)
    return raised.value


# Writing


def test_envelope_is_compact_json_with_event_first() -> None:
    frame = encode("greeting", {"to": "wörld"})
    assert frame.payload == '{"event":"greeting","data":{"to":"wörld"}}'.encode()


def test_missing_data_is_null() -> None:
    assert encode("ping", None).text == '{"event":"ping","data":null}'


def test_ref_follows_event_and_data() -> None:
    assert encode("done", 1, ref="r1").text == '{"event":"done","data":1,"ref":"r1"}'


@pytest.mark.parametrize("ref", [0, ""])
def test_ref_that_is_false_is_written(ref: int | str) -> None:
    assert json.loads(encode("done", 1, ref=ref).text)["ref"] == ref


def test_ref_of_none_is_left_out() -> None:
    assert "ref" not in json.loads(encode("done", 1, ref=None).text)


@pytest.mark.parametrize(
    "value",
    [
        lazystr("later"),
        mark_safe("<b>safe</b>"),
        decimal.Decimal("1.50"),
        uuid.UUID(int=7),
        datetime.date(2024, 2, 29),
        datetime.datetime(2024, 2, 29, 12, 30, 15, 123456),  # noqa: DTZ001  # Naive on purpose.
        datetime.datetime(2024, 2, 29, 12, 30, 15, 123456, UTC),
        datetime.time(12, 30, 15, 123456),
        datetime.timedelta(days=1, seconds=2),
        Suit.HEARTS,
        Rank.ACE,
        Point(1, 2),
        (1, (2, 3)),
        Text("text"),
        Whole(3),
        Real(1.5),
        OrderedDict(b=1, a=2),
        {2: "int", 1.5: "float", True: "bool", None: "null"},
        {mark_safe("key"): Suit.HEARTS},
        {Suit.HEARTS: 1},
    ],
    ids=lambda value: type(value).__name__,
)
def test_value_is_written_as_django_writes_it(value: Any) -> None:
    assert written(value) == json.loads(json.dumps(value, cls=DjangoJSONEncoder))


def test_enum_is_written_as_its_value() -> None:
    assert written(Colour.RED) == "red"


def test_dataclass_is_written_as_its_fields() -> None:
    line = Line("tea", decimal.Decimal("2.50"))
    assert written([line]) == [{"name": "tea", "price": "2.50", "note": None}]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, Real("nan")])
def test_number_that_json_lacks_is_null(value: float) -> None:
    assert written({"n": [value]}) == {"n": [None]}


@pytest.mark.parametrize("key", ["", "a.b", "ключ", "\x00"])
def test_any_string_is_a_key(key: str) -> None:
    assert written({key: 1}) == {key: 1}


# Refusing


@pytest.mark.parametrize(
    "value",
    [
        object(),
        b"bytes",
        {1, 2},
        1 << 64,
        "\ud800",
        len,
        datetime.time(12, tzinfo=UTC),
        User(username="ann"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_value_that_json_lacks_is_refused_with_its_path(value: Any) -> None:
    error = refusal({"items": [{"price": 1}, {"price": value}]})
    assert error.path == "data.items[1].price"


def test_queryset_is_refused_without_a_query() -> None:
    assert refusal({"users": User.objects.all()}).path == "data.users"


def test_value_in_a_dataclass_is_named() -> None:
    assert refusal([Line("tea", decimal.Decimal(1), note=object())]).path == "data[0].note"


def test_value_in_a_tuple_is_named() -> None:
    assert refusal((1, Point(1, 2), (3, object()))).path == "data[2][1]"


def test_key_that_json_lacks_is_named() -> None:
    assert refusal({"by": {(1, 2): "x"}}).path == "data.by.<key (1, 2)>"


def test_ref_that_json_lacks_is_named() -> None:
    with pytest.raises(EnvelopeError) as raised:
        encode("e", None, ref="\ud800")
    assert raised.value.path == "ref"


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("name", "data.name"),
        ("a b", "data['a b']"),
        ("\n2026 forged", r"data['\n2026 forged']"),
        ("", "data['']"),
        (2, "data[2]"),
        ("\u202e", r"data['\u202e']"),
    ],
)
def test_key_is_shown_as_one_line(key: object, path: str) -> None:
    assert refusal({key: object()}).path == path


@pytest.mark.parametrize("key", ["x" * 100_000, "\n" * 100_000, "key", "é" * 60])
def test_path_is_short_and_one_line(key: str) -> None:
    data: Any = object()
    for _ in range(100):
        data = {key: data}
    path = refusal(data).path
    assert len(path) <= 202
    assert path.isprintable()


def test_key_that_python_cannot_show_is_named_by_its_type() -> None:
    assert refusal({1 << 100_000: 1}).path == "data.<key <int>>"


def test_value_is_found_among_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blame, "perf_counter", lambda: 0.0)
    assert refusal({"rows": [[1]] * 99_999 + [[object()]]}).path == "data.rows[99999][0]"


def test_blame_looks_for_as_long_as_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = itertools.count()
    monkeypatch.setattr(blame, "perf_counter", lambda: next(ticks) / 1000)  # 1 ms per look.
    data: Any = {"much": ["x"] * 1000, "bad": object()}
    for _ in range(200):
        data = [data]
    written = mock.Mock(wraps=orjson.dumps)
    monkeypatch.setattr(blame, "orjson", mock.Mock(dumps=written))
    error = refusal(data)
    assert written.call_count < 100
    assert error.path.startswith("data[0][0]")
    assert error.path.endswith("…")
    assert "not JSON serializable" in error.problem


def test_refusal_says_where_and_why() -> None:
    error = refusal({"user": User(username="ann")})
    assert str(error) == f"data.user cannot be sent: {error.problem}"
    assert "User is not JSON serializable" in error.problem


def test_refusal_is_a_value_error() -> None:
    assert isinstance(refusal(object()), ValueError)


def test_list_that_contains_itself_is_refused() -> None:
    cycle: list[Any] = [1]
    cycle.append(cycle)
    assert "contains itself" in refusal({"cycle": cycle}).problem


def test_dictionary_that_contains_itself_is_refused() -> None:
    cycle: dict[str, Any] = {}
    cycle["me"] = cycle
    assert refusal(cycle).path.startswith("data.me.me")


def test_data_nested_too_deeply_is_refused() -> None:
    deep: Any = None
    for _ in range(300):
        deep = [deep]
    assert refusal({"deep": deep}).path.startswith("data.deep[0]")


@pytest.mark.parametrize("event", ["", None, 1, b"e", "\ud800"])
def test_event_that_is_no_name_is_refused(event: Any) -> None:
    with pytest.raises(EnvelopeError) as raised:
        encode(event, None)
    assert raised.value.path == "event"


def test_frame_over_the_limit_is_refused(settings: Any) -> None:
    size = encode_event("e", "x").size
    settings.ARCLY_CHANNELS = {"MAX_FRAME_BYTES": size}
    assert encode_event("e", "x").size == size
    assert f"{size} are allowed" in refusal("xx").problem


def test_limit_of_0_is_no_limit(settings: Any) -> None:
    settings.ARCLY_CHANNELS = {"MAX_FRAME_BYTES": 0}
    assert encode_event("e", "x" * 2**21).size > 2**21


# Frames


def test_frame_of_text_holds_its_utf8() -> None:
    frame = Frame.from_text("é")
    assert (frame.payload, frame.size, frame.is_text, frame.text) == (b"\xc3\xa9", 2, True, "é")


def test_frame_of_text_refuses_a_lone_surrogate() -> None:
    with pytest.raises(EnvelopeError, match="not valid Unicode"):
        Frame.from_text("\ud800")


def test_frame_decodes_its_text_once() -> None:
    frame = encode("e", "long enough not to be interned")
    assert frame.text is frame.text


def test_frame_shows_its_kind_and_size_but_not_its_payload() -> None:
    assert repr(Frame(b"secret", is_text=False)) == "<Frame binary, 6 bytes>"


@pytest.mark.parametrize(
    ("size", "header"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65535, b"\x81\x7e\xff\xff"),
        (65536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_frame_goes_on_the_wire_with_the_header_of_its_size(size: int, header: bytes) -> None:
    payload = b"x" * size
    assert Frame(payload).wire == header + payload


def test_binary_frame_has_a_header_of_its_own() -> None:
    assert Frame(b"x", is_text=False).wire == b"\x82\x01x"


@pytest.mark.parametrize("payload", [b"", b"payload"])
def test_payload_is_without_the_header(payload: bytes) -> None:
    assert Frame(payload).payload == payload


# Reading


def test_envelope_is_read_into_event_data_and_ref() -> None:
    text = '{"ref":7,"data":[1],"event":"e"}'
    assert decode(text) == Event("e", [1], 7, text)


def test_envelope_without_data_has_none() -> None:
    text = '{"event":"e"}'
    assert decode(text) == Event("e", None, None, text)


@pytest.mark.parametrize("text", ["", "{", "nope", "NaN", '{"event":"\\ud800"}', "[" * 5000])
def test_text_that_is_no_json_is_malformed(text: str) -> None:
    with pytest.raises(MalformedFrame, match="not JSON"):
        decode(text)


@pytest.mark.parametrize("text", ["[]", "null", "1", '"event"', "true"])
def test_json_that_is_no_object_is_malformed(text: str) -> None:
    with pytest.raises(MalformedFrame, match="not a JSON object"):
        decode(text)


@pytest.mark.parametrize("event", ["null", "1", "[]", "{}", "true"])
def test_event_that_is_no_string_is_malformed(event: str) -> None:
    with pytest.raises(MalformedFrame, match='no string "event"'):
        decode(f'{{"event":{event}}}')


def malformed(text: str) -> MalformedFrame:
    with pytest.raises(MalformedFrame) as raised:
        decode(text)
    return raised.value


def test_malformed_envelope_keeps_its_ref() -> None:
    assert malformed('{"ref":7}').ref == 7


@pytest.mark.parametrize("ref", [0, 2**53 - 1, "", "x" * 64])
def test_ref_is_an_integer_or_a_short_string(ref: int | str) -> None:
    assert decode(json.dumps({"event": "e", "ref": ref})).ref == ref


REFS = ["[]", "{}", "true", "false", "1.0", "-1", str(2**53), "1e3", json.dumps("x" * 65)]


@pytest.mark.parametrize("ref", [*REFS, "[" * 60 + "]" * 60])
def test_any_other_ref_is_malformed_and_not_repeated(ref: str) -> None:
    error = malformed(f'{{"event":"e","ref":{ref}}}')
    assert '"ref" is' in error.problem
    assert error.ref is None


@pytest.mark.parametrize("text", ["", "tea", "thé", "茶", "🍵", "\ud800"])
def test_size_of_a_text_is_that_of_its_utf8(text: str) -> None:
    assert size_of(text) == len(text.encode(errors="surrogatepass"))


def nested(depth: int) -> str:
    """An envelope of that depth, itself included."""
    return '{"event":"e","data":' + "[" * (depth - 1) + "]" * (depth - 1) + "}"


def test_frame_may_be_nested_64_deep() -> None:
    assert decode(nested(64)).event == "e"


@pytest.mark.parametrize("depth", [65, 254, 255, 256, 1000])
def test_frame_that_is_nested_deeper_is_malformed(depth: int) -> None:
    assert "64 deep" in malformed(nested(depth)).problem


def test_brackets_in_a_string_do_not_count_as_depth() -> None:
    assert decode(json.dumps({"event": "e", "data": "[{" * 1000})).data == "[{" * 1000


def test_many_arrays_side_by_side_are_not_deep() -> None:
    assert decode(json.dumps({"event": "e", "data": [[]] * 1000})).data == [[]] * 1000


def test_frame_of_too_many_brackets_is_malformed_before_it_is_read() -> None:
    assert "brackets" in malformed('{"event":"e","data":[' + "[]," * 50_000 + "0]}").problem


@given(data=json_values)
def test_what_was_read_can_be_written(data: Any) -> None:
    event = decode(json.dumps({"event": "e", "data": data}))
    assert decode(encode("e", event.data).text).data == event.data


# There and back


@given(event=st.text(min_size=1), data=json_values, ref=refs)
def test_what_is_written_is_read_back(event: str, data: Any, ref: Ref) -> None:
    text = encode(event, data, ref=ref).text
    assert decode(text) == Event(event, data, ref, text)


@given(data=json_values)
def test_what_is_written_is_what_django_would_write(data: Any) -> None:
    assert written(data) == json.loads(json.dumps(data, cls=DjangoJSONEncoder))


# Server-sent events


@given(st.text())
def test_event_of_any_text_is_read_back_as_one_with_its_lines(text: str) -> None:
    event = Frame.from_text(text.encode(errors="replace").decode()).event.decode()
    assert event.endswith("\n\n")
    lines = event[:-2].split("\n")
    assert all(line.startswith("data: ") and "\r" not in line for line in lines)
    data = "\n".join(line.removeprefix("data: ") for line in lines)
    sent = text.encode(errors="replace").decode()
    assert data == sent.replace("\r\n", "\n").replace("\r", "\n")


def test_event_is_made_once_for_all_who_listen() -> None:
    frame = encode("news", {"id": 1}, room="tea")
    assert frame.tagged.event is frame.tagged.event
    assert frame.tagged.event == b'data: {"event":"news","data":{"id":1},"room":"tea"}\n\n'


def test_fields_of_an_event_come_before_its_data() -> None:
    frame = encode("news", None, fields=b"id: 7\n")
    assert frame.event == b'id: 7\ndata: {"event":"news","data":null}\n\n'
    assert frame.payload == b'{"event":"news","data":null}'
