"""What a test expects and what came, as both are on the wire; and how they differ, to be read."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from arcly_channels.exceptions import EnvelopeError
from arcly_channels.wire.events import encode_event


class _Anything:
    """What is not compared."""

    def __repr__(self) -> str:
        return "ANYTHING"


ANYTHING: Any = _Anything()


def plain(value: Any) -> Any:
    """Return what a gateway's client reads when `value` is sent: JSON's types, and nothing else.

    So a model, a date or a tuple equals what came of it. What cannot be sent stays as it is, to
    compare as it likes: `unittest.mock.ANY`, wherever in a value it is.
    """
    try:
        return orjson.loads(encode_event("plain", value).payload)["data"]
    except EnvelopeError:
        if isinstance(value, Mapping):
            return {key: plain(each) for key, each in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(each) for each in value]
        return value


def is_equal(expected: Any, came: Any) -> bool:
    """Return whether both are the same in JSON, where true is not 1, as it is in Python."""
    if isinstance(expected, dict) and isinstance(came, dict):
        return expected.keys() == came.keys() and all(
            is_equal(each, came[key]) for key, each in expected.items()
        )
    if isinstance(expected, list) and isinstance(came, list):
        return len(expected) == len(came) and all(map(is_equal, expected, came))
    if isinstance(expected, bool) or (
        isinstance(came, bool) and isinstance(expected, (int, float))
    ):
        return expected is came
    return bool(expected == came)


def difference(expected: Any, came: Any) -> str:
    """Return both as one text, in which `-` marks what was expected and `+` what came instead."""
    lines = difflib.ndiff(_lines(expected), _lines(came))
    return "\n".join(line.rstrip() for line in lines if not line.startswith("?"))


def listed(title: str, lines: Iterable[str]) -> str:
    """Return a list with a title; nothing where it would be empty."""
    body = [f"    {line}" for line in lines]
    return "\n".join(["", title, *body]) if body else ""


def _lines(value: Any) -> list[str]:
    return json.dumps(value, default=repr, ensure_ascii=False, indent=2).splitlines()
