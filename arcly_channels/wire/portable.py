"""Which value of a Channels message would not reach another process, and what to send instead."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from arcly_channels.exceptions import UnportableMessage
from arcly_channels.wire.blame import cut, shown, step

MAX_DEPTH = 250
"""How many dicts and lists may be inside one another.

msgpack 1.0 takes 255 dicts, and later ones more; a relay may wrap a few around the message.
"""

_LEAST, _MOST = -(2**63), 2**64 - 1
_PLAIN = frozenset({bool, bytes, float, type(None)})
_INSTEAD = {"bytearray": "bytes", "memoryview": "bytes", "set": "a list", "frozenset": "a list"}


def check_portable(message: Any, advice: str = "") -> None:
    """Raise `UnportableMessage`, ending in `advice`, for the first value that would not arrive.

    A relay carries what msgpack carries: None, bool, int of 64 bits, float, str, bytes, and lists,
    tuples and dicts of these, with keys of the first six. All of it arrives equal to what was sent,
    but that a tuple is a list then. So do subclasses, such as `SafeString`, `IntEnum` and
    `defaultdict`, as the type that they are derived from. Not a named tuple, whose names would be
    gone, nor a `QueryDict`, which keeps more than its items.
    """
    fault = _fault(message, MAX_DEPTH)
    if fault is not None:
        path, problem = fault
        raise UnportableMessage(cut(f"message{path}"), problem + advice)


def _fault(value: Any, levels: int) -> tuple[str, str] | None:
    """Return the path from `value` to the first that would not arrive, and why.

    `levels` is how many dicts and lists there may be inside one another.
    """
    if not _holds_others(type(value)):
        problem = _problem(value)
        return None if problem is None else ("", problem)
    if not levels:
        return "", "it is nested too deeply, or contains itself; send less"
    is_dict = issubclass(type(value), dict)
    for key, each in value.items() if is_dict else enumerate(value):
        # What is usual is passed over here, without a call: this runs for every message.
        if is_dict and not (type(key) is str and key.isascii()):
            problem = _problem(key)
            if problem is not None:
                return f".<key {shown(key)}>", problem
        kind = type(each)
        if kind in _PLAIN or (kind is str and each.isascii()):
            continue
        below = _fault(each, levels - 1)
        if below is not None:
            path, problem = below
            return step(value, key) + path, problem
    return None


def _holds_others(kind: Any) -> bool:
    """Return whether a value of this type arrives if everything in it does."""
    if issubclass(kind, dict):
        return kind.items in (dict.items, OrderedDict.items)
    return kind is tuple or issubclass(kind, list)


def _problem(value: Any) -> str | None:
    """Say why a value would not arrive by itself, or return `None` if it would."""
    kind = type(value)  # Not what it claims to be: msgpack asks no lazy object for its class.
    if kind in _PLAIN or issubclass(kind, (float, bytes)):
        return None
    if issubclass(kind, str):
        return None if _is_text(value) else "it has half a surrogate pair; send bytes"
    if issubclass(kind, int):
        return None if _LEAST <= value <= _MOST else "it is beyond 64 bits; send a str"
    name = kind.__qualname__
    return f"it is of the type {name}; send {_INSTEAD.get(name, 'its key or its text')}"


def _is_text(value: str) -> bool:
    """Return whether a str can be written as UTF-8, which has no half of a surrogate pair."""
    try:
        str.encode(value)
    except UnicodeEncodeError:
        return False
    return True
