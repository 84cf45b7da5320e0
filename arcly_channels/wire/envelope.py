"""The wire format: `{"event": name, "data": payload}` as JSON text, encoded once per broadcast."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import orjson

from arcly_channels.exceptions import EnvelopeError, MalformedFrame

Default = Callable[[Any], Any]
"""Turns a value that JSON does not know into one that it does, or raises `TypeError`."""

# Datetimes go to `default`, so that they look like the rest of the project's JSON.
_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_NON_STR_KEYS
_MAX_DEPTH = 254  # orjson's own bound on nesting.


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
    ref: Any


def encode(event: str, data: Any, *, default: Default | None = None, ref: Any = None) -> Frame:
    """Encode an envelope; a `ref` other than `None` is added beside event and data.

    Raises `EnvelopeError` naming the value that cannot be written. NaN and the infinities become
    null, as in the seed.

    Seed deviation: the seed sends `{"event":"error","data":null}` instead of raising, which hides
    the bug from the sender.
    """
    if not isinstance(event, str) or not event:
        raise EnvelopeError("event", f"a non-empty string is needed, not {event!r:.50}")
    envelope = {"event": event, "data": data}
    if ref is not None:
        envelope["ref"] = ref
    convert = _with_tuples(default)
    try:
        return Frame(orjson.dumps(envelope, convert, _OPTIONS))
    except TypeError as error:
        raise _blame(envelope, convert) from error


def decode(text: str) -> Event:
    """Decode an inbound envelope, or raise `MalformedFrame` that says what is wrong with it."""
    try:
        envelope = orjson.loads(text)
    except ValueError:
        raise MalformedFrame("the frame is not JSON") from None
    if not isinstance(envelope, dict):
        raise MalformedFrame("the frame is not a JSON object")
    event, ref = envelope.get("event"), envelope.get("ref")
    if not isinstance(event, str):
        raise MalformedFrame('the frame has no string "event"', ref)
    return Event(event, envelope.get("data"), ref)


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
    """Walk down to the value that made the whole envelope fail."""
    path, value = "", envelope
    for _ in range(_MAX_DEPTH):
        for step, child in _children(value):
            if _problem(child, convert) is not None:
                path, value = path + step, child
                break
        else:
            return EnvelopeError(path.lstrip("."), _problem(value, convert) or "it changed")
    return EnvelopeError(path[:60].lstrip(".") + "…", "it contains itself or is nested too deeply")


def _children(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield what is directly inside `value`, each with the step that leads there."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield f".<key {key!r:.50}>", _Key(key)
            yield f".{key}", item
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield f"[{index}]", item
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield f".{field.name}", getattr(value, field.name)


class _Key:
    """A dictionary's key, to be judged by the rules for keys."""

    def __init__(self, key: Any) -> None:
        self.key = key


def _problem(value: Any, convert: Default) -> str | None:
    """Say why `value` cannot be written, or return `None` when it can."""
    try:
        orjson.dumps({value.key: None} if isinstance(value, _Key) else value, convert, _OPTIONS)
    except TypeError as error:
        return str(error.__cause__ or error)  # The cause is what `convert` had to say.
    return None
