"""What becomes of a layer in a forked child: it starts anew, empty, as it was configured.

What a layer holds belongs to the parent: its receivers wait there. And another thread may have
been in the middle of something when the process forked, with a lock that nobody in the child would
ever release.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

_makers: WeakKeyDictionary[Any, tuple[Callable[..., None], dict[str, Any]]] = WeakKeyDictionary()


def start_anew_in_children(layer: object, make: Callable[..., None], **options: Any) -> None:
    """Have `make(layer, **options)`, which is a constructor, run again in every forked child."""
    _makers[layer] = make, options


def _start_anew() -> None:
    for layer, (make, options) in list(_makers.items()):
        make(layer, **options)


if hasattr(os, "register_at_fork"):  # Windows has no fork.
    os.register_at_fork(after_in_child=_start_anew)
