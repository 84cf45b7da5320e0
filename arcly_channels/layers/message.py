"""A Channels message that many receivers get, each a copy of its own, for less than a deepcopy."""

from __future__ import annotations

import marshal
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any

Message = dict[str, Any]

_ATOMS = frozenset({str, bytes, int, float, bool, type(None)})


def copier(message: Message) -> Callable[[], Message]:
    """Return a function whose every call gives a copy that shares nothing changeable.

    What the sender does to `message` afterwards is not seen either. A flat message is copied as a
    dictionary, one of plain data is written down once and read once per copy, and only what holds
    other objects is deep-copied; `benchmarks/layer.py` shows the difference.
    """
    if _ATOMS.issuperset(map(type, message.values())):
        return message.copy().copy
    try:
        return partial(marshal.loads, marshal.dumps(message))
    except ValueError:  # It holds something that is not plain data.
        return partial(deepcopy, deepcopy(message))
