"""A Channels message that many receivers get, each a copy of its own, for less than a deepcopy."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any, NoReturn

Message = dict[str, Any]
Copier = Callable[[], Message]

_ATOMS = frozenset({str, bytes, int, float, bool, type(None)})


def copier(message: Message) -> Copier:
    """Return a function whose every call gives a copy that shares nothing changeable.

    What the sender does to `message` afterwards is not seen either. A flat message is copied as a
    dictionary, one of plain data is written down once and read once per copy, and only what holds
    other objects is deep-copied; `benchmarks/layer.py` shows the difference.
    """
    if type(message) is dict and _ATOMS.issuperset(map(type, message.values())):
        return message.copy().copy
    written = io.BytesIO()
    try:
        _PlainPickler(written, pickle.HIGHEST_PROTOCOL).dump(message)
    except _NotPlain:
        return partial(deepcopy, deepcopy(message))
    return partial(pickle.loads, written.getvalue())


class _NotPlain(Exception):
    pass


class _PlainPickler(pickle.Pickler):
    """Writes the builtin types and no others: those may mind being pickled, as a queryset does.

    Not `marshal`, which is no faster and turns whatever has a buffer, as a bytearray, into bytes.
    """

    def reducer_override(self, obj: object) -> NoReturn:
        raise _NotPlain
