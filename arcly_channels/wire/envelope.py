"""The wire format: `{"event": name, "data": payload}` as JSON text, encoded once per broadcast."""

from __future__ import annotations

import dataclasses
import reprlib
import struct
from collections.abc import Callable
from time import perf_counter
from typing import Any, NamedTuple

import orjson

from arcly_channels.exceptions import EnvelopeError, MalformedFrame

Default = Callable[[Any], Any]
"""Turns a value that JSON does not know into one that it does, or raises `TypeError`."""

# Datetimes go to `default`, so that they look like the rest of the project's JSON.
_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_NON_STR_KEYS
_MAX_WRITABLE_DEPTH = 254  # orjson's own bound on nesting.

MAX_BYTES = 1024 * 1024
"""The bytes of UTF-8 that an inbound frame may have."""
MAX_DEPTH = 64
"""How many arrays and objects may be inside one another in an inbound frame.

It is far below the bounds of orjson, `json` and `copy`: what a client sent can be written again.
"""
MAX_BRACKETS = 50_000
"""How many `[` and `{` an inbound frame may have, strings included.

Each becomes a list or a dict. A megabyte of them costs the garbage collector 0.1 s and more.
"""
MAX_REF = 2**53 - 1
"""The largest integer that every JSON reader knows exactly."""
MAX_REF_LENGTH = 64

_BLAME_SECONDS = 0.05
"""How long one error may be looked into. What made it is known without; this finds where it is."""
_MAX_PATH = 200


Ref = int | str | None
"""A client's own mark of a frame: 0 to `MAX_REF`, or a string of up to `MAX_REF_LENGTH`."""


class Frame:
    """One encoded message: the object that every recipient's outbox holds.

    `wire` is its bytes as a server sends them, unfragmented (RFC 6455, section 5.2), made once for
    all recipients; `size` is the number of bytes of its payload alone. A frame is never changed
    after it was made, and may be shared between threads.
    """

    __slots__ = ("_text", "is_text", "size", "wire")

    def __init__(self, payload: bytes, *, is_text: bool = True) -> None:
        self.is_text = is_text
        self.size = len(payload)
        self.wire = _header(is_text, self.size) + payload
        self._text: str | None = None

    @classmethod
    def from_text(cls, text: str) -> Frame:
        """Make a text frame of `text` as it is; raise `EnvelopeError` for a lone surrogate."""
        try:
            frame = cls(text.encode())
        except UnicodeEncodeError as error:
            raise EnvelopeError("text", f"it is not valid Unicode: {error.reason}") from error
        frame._text = text
        return frame

    @property
    def payload(self) -> bytes:
        """The message's bytes; UTF-8 when `is_text`."""
        return self.wire[len(self.wire) - self.size :]

    @property
    def text(self) -> str:
        """The payload of a text frame as a string, decoded at most once."""
        if self._text is None:
            self._text = self.payload.decode()
        return self._text

    def __repr__(self) -> str:
        return f"<Frame {'text' if self.is_text else 'binary'}, {self.size} bytes>"


class Event(NamedTuple):
    """An inbound envelope. `ref` is the client's own mark, which an error reply repeats."""

    event: str
    data: Any
    ref: Ref


def encode(
    event: str,
    data: Any,
    *,
    default: Default | None = None,
    ref: Ref = None,
    max_bytes: int = 0,
) -> Frame:
    """Encode an envelope; a `ref` other than `None` is added beside event and data.

    Raises `EnvelopeError` naming the value that cannot be written, and for a frame of more than
    `max_bytes`, unless that is 0. NaN and the infinities become null, as in the seed.

    Seed deviation: the seed sends `{"event":"error","data":null}` instead of raising, which hides
    the bug from the sender.
    """
    if not isinstance(event, str) or not event:
        raise EnvelopeError("event", f"a non-empty string is needed, not {shown(event)}")
    envelope = {"event": event, "data": data}
    if ref is not None:
        envelope["ref"] = ref
    convert = _with_tuples(default)
    try:
        return limited(Frame(orjson.dumps(envelope, convert, _OPTIONS)), max_bytes)
    except TypeError as error:
        raise _blame(envelope, convert) from error


def limited(frame: Frame, max_bytes: int) -> Frame:
    """Return the frame; raise `EnvelopeError` when it is over `max_bytes`, unless that is 0."""
    if frame.size > max_bytes > 0:
        raise EnvelopeError("the frame", f"it has {frame.size} bytes, and {max_bytes} are allowed")
    return frame


def decode(text: str, *, max_bytes: int = MAX_BYTES) -> Event:
    """Decode an inbound envelope, or raise `MalformedFrame` that says what is wrong with it.

    The time it takes is bounded: text of more than `max_bytes`, of more than `MAX_BRACKETS`, or
    deeper than `MAX_DEPTH`, is malformed.
    """
    envelope = _loads(text, max_bytes)
    if not isinstance(envelope, dict):
        raise MalformedFrame("the frame is not a JSON object")
    event, ref = envelope.get("event"), envelope.get("ref")
    if not _is_ref(ref):
        raise MalformedFrame(
            f'"ref" is an integer from 0 to {MAX_REF}, '
            f"or a string of up to {MAX_REF_LENGTH} characters"
        )
    if not isinstance(event, str):
        raise MalformedFrame('the frame has no string "event"', ref)
    return Event(event, envelope.get("data"), ref)


def shown(value: object) -> str:
    """Return a value's `repr`, cut to about 50 characters: fit for one line of a log."""
    try:
        return _brief.repr(value)
    except ValueError:  # Python writes no integer of more than 4,300 digits.
        return f"<{type(value).__qualname__}>"


def escaped(name: str) -> str:
    """Return the first 50 characters of a client's word, fit for one line of a log."""
    return repr(name[:50])[1:-1]


_brief = reprlib.Repr()
_brief.maxstring = _brief.maxother = 50


def _loads(text: str, max_bytes: int) -> Any:
    size = len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
    if size > max_bytes:
        raise MalformedFrame(f"the frame has {size} bytes, and {max_bytes} are allowed")
    brackets = text.count("[") + text.count("{")
    if brackets > MAX_BRACKETS:
        raise MalformedFrame(f"the frame has more than {MAX_BRACKETS} brackets")
    try:
        value = orjson.loads(text)
    except ValueError:
        raise MalformedFrame("the frame is not JSON") from None
    if brackets > MAX_DEPTH and _is_deeper(value, MAX_DEPTH):
        raise MalformedFrame(f"the frame is nested more than {MAX_DEPTH} deep")
    return value


def _is_deeper(value: Any, depth: int) -> bool:
    """Return whether a value that was read is nested deeper than `depth`.

    orjson finds that out in 5 ms for a megabyte, and in Python it takes ten times as long: the
    value is put so deep that only `depth` is left of what orjson writes.
    """
    for _ in range(_MAX_WRITABLE_DEPTH - depth):
        value = [value]
    try:
        orjson.dumps(value)
    except TypeError:
        return True
    return False


def _is_ref(ref: Any) -> bool:
    if isinstance(ref, str):
        return len(ref) <= MAX_REF_LENGTH
    return ref is None or (type(ref) is int and 0 <= ref <= MAX_REF)


def _header(is_text: bool, size: int) -> bytes:
    first = 0x81 if is_text else 0x82
    if size < 126:
        return bytes((first, size))
    if size < 1 << 16:
        return struct.pack("!BBH", first, 126, size)
    return struct.pack("!BBQ", first, 127, size)


def _with_tuples(default: Default | None) -> Default:
    """Add what `json` does by itself and orjson does not: subclasses of tuple and of float."""

    def convert(value: Any) -> Any:
        if isinstance(value, tuple):
            return list(value)
        if isinstance(value, float):
            return float(value)
        if default is None:
            raise TypeError(f"{type(value).__qualname__} is no JSON value")
        return default(value)

    return convert


def _blame(envelope: dict[str, Any], convert: Default) -> EnvelopeError:
    """Walk down to the value that made the whole envelope fail, as far as time allows.

    Each step writes what it looks at once more, so something deep with much at its bottom would
    take time that grows with the square of its size.
    """
    deadline = perf_counter() + _BLAME_SECONDS
    path, value, problem = "", envelope, _problem(envelope, convert) or "it changed"
    for _ in range(_MAX_WRITABLE_DEPTH):
        found = _culprit(value, convert, deadline)
        if found is None:
            end = "…" if perf_counter() > deadline else ""
            return EnvelopeError(_cut(path) + end, problem)
        key, child = found
        below = _problem(child, convert)
        if below is None:
            return _blame_key(path, value, key, convert) or EnvelopeError(_cut(path), problem)
        path, value, problem = path + _step(value, key), child, below
    return EnvelopeError(_cut(path), "it contains itself or is nested too deeply")


def _blame_key(path: str, value: Any, key: Any, convert: Default) -> EnvelopeError | None:
    problem = _problem({key: None}, convert) if isinstance(value, dict) else None
    return EnvelopeError(_cut(f"{path}.<key {shown(key)}>"), problem) if problem else None


def _culprit(value: Any, convert: Default, deadline: float) -> tuple[Any, Any] | None:
    """Return the key and the value of what is wrong directly inside `value`; halve to find it."""
    items, pack = _items(value)
    while len(items) > 1:
        if perf_counter() > deadline:
            return None
        half = len(items) // 2
        is_in_first = _problem(pack(items[:half]), convert) is not None
        items = items[:half] if is_in_first else items[half:]
    return items[0] if items and perf_counter() <= deadline else None


def _items(value: Any) -> tuple[list[tuple[Any, Any]], Callable[[Any], Any]]:
    """Return what is directly inside `value`, each after its key, and what makes a whole of it."""
    if isinstance(value, dict):
        return list(value.items()), dict
    if isinstance(value, (list, tuple)):
        return list(enumerate(value)), _values
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(each.name, getattr(value, each.name)) for each in dataclasses.fields(value)], dict
    return [], _values


def _values(items: list[tuple[Any, Any]]) -> list[Any]:
    return [value for _, value in items]


def _step(value: Any, key: Any) -> str:
    """Return how the path goes on from `value` to what is at `key`."""
    is_plain = isinstance(key, str) and key.isidentifier() and len(key) <= _brief.maxstring
    return f".{key}" if is_plain else f"[{shown(key)}]"


def _cut(path: str) -> str:
    """Return a path without the middle of it when it is long."""
    path = path.lstrip(".")
    half = _MAX_PATH // 2
    return path if len(path) <= _MAX_PATH else f"{path[:half]}…{path[-half:]}"


def _problem(value: Any, convert: Default) -> str | None:
    """Say why `value` cannot be written, or return `None` when it can."""
    try:
        orjson.dumps(value, convert, _OPTIONS)
    except TypeError as error:
        return str(error.__cause__ or error)  # The cause is what `convert` had to say.
    return None
