"""The wire format: `{"event": name, "data": payload}` as JSON text, encoded once per broadcast."""

from __future__ import annotations

import re
import struct
from functools import cache
from typing import Any, NamedTuple

import orjson

from arcly_channels.exceptions import EnvelopeError, MalformedFrame
from arcly_channels.wire.blame import MAX_WRITABLE_DEPTH, OPTIONS, Default, blame, shown

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


Ref = int | str | None
"""A client's own mark of a frame: 0 to `MAX_REF`, or a string of up to `MAX_REF_LENGTH`."""


_LINE_END = re.compile(rb"\r\n|\r|\n")


class Frame:
    """One encoded message: the object that every recipient's outbox holds.

    `wire` is its bytes as a server sends them, unfragmented (RFC 6455, section 5.2), made once for
    all recipients; `size` is the number of bytes of its payload alone, with its tag. A frame is
    never changed after it was made, and may be shared between threads.

    A `tag` is what replaces the last brace of an envelope for the clients that are told more.
    `fields` are lines that its form as a server-sent event has before the data.
    """

    __slots__ = ("_event", "_tag", "_tagged", "_text", "is_text", "size", "wire")

    def __init__(
        self, payload: bytes, *, is_text: bool = True, tag: bytes = b"", fields: bytes = b""
    ) -> None:
        self.is_text = is_text
        self.size = len(payload) + len(tag)
        self.wire = _header(is_text, len(payload)) + payload
        self._text: str | None = None
        self._tag = tag
        self._tagged: Frame | None = None
        self._event = sent_event(payload, fields) if fields else None

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
        return self.wire[len(self.wire) - self.size + len(self._tag) :]

    @property
    def tag(self) -> bytes:
        """What replaces the last brace for the clients that are told more; most have none."""
        return self._tag

    @property
    def tagged(self) -> Frame:
        """The frame with its tag, made when it is first asked for; itself where it has none."""
        if not self._tag:
            return self
        if self._tagged is None:
            self._tagged = Frame(self.payload[:-1] + self._tag)
        return self._tagged

    @property
    def event(self) -> bytes:
        """The frame as a server-sent event, made when it is first asked for."""
        if self._event is None:
            self._event = sent_event(self.payload)
        return self._event

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
    text: str = ""
    """The frame that it came in, whole."""


def encode(
    event: str,
    data: Any,
    *,
    default: Default | None = None,
    ref: Ref = None,
    room: str | None = None,
    max_bytes: int = 0,
    fields: bytes = b"",
) -> Frame:
    """Encode an envelope; a `ref` other than `None` is added beside event and data.

    A `room` is added in the tagged frame only, `fields` in the server-sent event.
    Raises `EnvelopeError` naming the value that cannot be written, and for a frame of more than
    `max_bytes`, unless that is 0. NaN and the infinities become null.
    Nothing is sent in place of data that cannot be written, which would hide the bug.
    """
    if not isinstance(event, str) or not event:
        raise EnvelopeError("event", f"a non-empty string is needed, not {shown(event)}")
    envelope = {"event": event, "data": data}
    if ref is not None:
        envelope["ref"] = ref
    convert = _with_tuples(default)
    try:
        payload = orjson.dumps(envelope, convert, OPTIONS)
        tag = b"" if room is None else b',"room":%b}' % orjson.dumps(room)
    except TypeError as error:
        raise blame({**envelope, "room": room}, convert) from error
    return limited(Frame(payload, tag=tag, fields=fields), max_bytes)


def limited(frame: Frame, max_bytes: int) -> Frame:
    """Return the frame; raise `EnvelopeError` when it is over `max_bytes`, unless that is 0."""
    if frame.size > max_bytes > 0:
        raise EnvelopeError("the frame", f"it has {frame.size} bytes, and {max_bytes} are allowed")
    return frame


def decode(text: str) -> Event:
    """Decode an inbound envelope, or raise `MalformedFrame` that says what is wrong with it.

    The time it takes grows with the text and no faster: one of more than `MAX_BRACKETS`, or deeper
    than `MAX_DEPTH`, is malformed.
    """
    envelope = _loads(text)
    if not isinstance(envelope, dict):
        raise MalformedFrame("the frame is not a JSON object")
    event, ref = envelope.get("event"), envelope.get("ref")
    if ref is not None and not _is_ref(ref):
        raise MalformedFrame(
            f'"ref" is an integer from 0 to {MAX_REF}, '
            f"or a string of up to {MAX_REF_LENGTH} characters"
        )
    if not isinstance(event, str):
        raise MalformedFrame('the frame has no string "event"', ref)
    return Event(event, envelope.get("data"), ref, text)


def escaped(name: str) -> str:
    """Return the first 50 characters of a client's word, fit for one line of a log."""
    return repr(name[:50])[1:-1]


def size_of(text: str) -> int:
    """Return how many bytes of UTF-8 a text is."""
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))


def _loads(text: str) -> Any:
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
    for _ in range(MAX_WRITABLE_DEPTH - depth):
        value = [value]
    try:
        orjson.dumps(value)
    except TypeError:
        return True
    return False


def _is_ref(ref: Any) -> bool:
    if isinstance(ref, str):
        return len(ref) <= MAX_REF_LENGTH
    return type(ref) is int and 0 <= ref <= MAX_REF


def sent_event(payload: bytes, fields: bytes = b"") -> bytes:
    """Return a payload as a server-sent event (HTML, section 9.2.6), with `fields` before it.

    A text that is no JSON of ours may have several lines; each is one of the data.
    """
    if b"\n" in payload or b"\r" in payload:
        payload = b"\ndata: ".join(_LINE_END.split(payload))
    return b"%bdata: %b\n\n" % (fields, payload)


def close_frame(code: int, reason: str) -> bytes:
    """Return a close frame as it goes on the wire; `reason` has at most 123 bytes."""
    payload = struct.pack("!H", code) + reason.encode()
    return bytes((0x88, len(payload))) + payload


def _header(is_text: bool, size: int) -> bytes:
    first = 0x81 if is_text else 0x82
    if size < 126:
        return bytes((first, size))
    if size < 1 << 16:
        return struct.pack("!BBH", first, 126, size)
    return struct.pack("!BBQ", first, 127, size)


@cache  # Of the few that there are.
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
