"""What becomes of a layer in a forked child: it starts anew, empty, as it was configured.

What a layer holds belongs to the parent: its receivers wait there. And another thread may have
been in the middle of something when the process forked, with a lock that nobody in the child would
ever release.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")
P = ParamSpec("P")

_makers: WeakKeyDictionary[Any, Callable[[Any], None]] = WeakKeyDictionary()


def runs_again_in_children(
    init: Callable[Concatenate[T, P], None],
) -> Callable[Concatenate[T, P], None]:
    """Have a constructor run again, as it was called, on what it made in every forked child."""

    @wraps(init)
    def remembered(made: T, /, *args: P.args, **options: P.kwargs) -> None:
        _makers[made] = lambda it: init(it, *args, **options)  # Not `made`, which it would keep.
        init(made, *args, **options)

    return remembered


def _start_anew() -> None:
    for made, make in list(_makers.items()):
        make(made)


if hasattr(os, "register_at_fork"):  # Windows has no fork.
    os.register_at_fork(after_in_child=_start_anew)
