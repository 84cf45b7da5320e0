"""Which value of an envelope cannot be written, and why: what `EnvelopeError` says."""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Callable
from time import perf_counter
from typing import Any

import orjson

from arcly_channels.exceptions import EnvelopeError

Default = Callable[[Any], Any]
"""Turns a value that JSON does not know into one that it does, or raises `TypeError`."""

# Datetimes go to `default`, so that they look like the rest of the project's JSON.
OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_NON_STR_KEYS
MAX_WRITABLE_DEPTH = 254  # orjson's own bound on nesting.

_BLAME_SECONDS = 0.05
"""How long one error may be looked into. What made it is known without; this finds where it is."""
_MAX_PATH = 200


def blame(envelope: dict[str, Any], convert: Default) -> EnvelopeError:
    """Walk down to the value that made the whole envelope fail, as far as time allows.

    Each step writes what it looks at once more, so something deep with much at its bottom would
    take time that grows with the square of its size.
    """
    deadline = perf_counter() + _BLAME_SECONDS
    path, value, problem = "", envelope, _problem(envelope, convert) or "it changed"
    for _ in range(MAX_WRITABLE_DEPTH):
        found = _culprit(value, convert, deadline)
        if found is None:
            end = "…" if perf_counter() > deadline else ""
            return EnvelopeError(cut(path) + end, problem)
        key, child = found
        below = _problem(child, convert)
        if below is None:
            return _blame_key(path, value, key, convert) or EnvelopeError(cut(path), problem)
        path, value, problem = path + step(value, key), child, below
    return EnvelopeError(cut(path), "it contains itself or is nested too deeply")


def _blame_key(path: str, value: Any, key: Any, convert: Default) -> EnvelopeError | None:
    problem = _problem({key: None}, convert) if isinstance(value, dict) else None
    return EnvelopeError(cut(f"{path}.<key {shown(key)}>"), problem) if problem else None


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


def step(value: Any, key: Any) -> str:
    """Return how the path goes on from `value` to what is at `key`."""
    is_plain = isinstance(key, str) and key.isidentifier() and len(key) <= _brief.maxstring
    return f".{key}" if is_plain else f"[{shown(key)}]"


def cut(path: str) -> str:
    """Return a path without the middle of it when it is long."""
    path = path.lstrip(".")
    half = _MAX_PATH // 2
    return path if len(path) <= _MAX_PATH else f"{path[:half]}…{path[-half:]}"


def _problem(value: Any, convert: Default) -> str | None:
    """Say why `value` cannot be written, or return `None` when it can."""
    try:
        orjson.dumps(value, convert, OPTIONS)
    except TypeError as error:
        return str(error.__cause__ or error)  # The cause is what `convert` had to say.
    return None


def shown(value: object) -> str:
    """Return a value's `repr`, cut to about 50 characters: fit for one line of a log."""
    try:
        return _brief.repr(value)
    except ValueError:  # Python writes no integer of more than 4,300 digits.
        return f"<{type(value).__qualname__}>"


_brief = reprlib.Repr()
_brief.maxstring = _brief.maxother = 50
