"""What becomes of things in a forked child: they start anew, empty, as they were made.

What a layer holds belongs to the parent: its receivers wait there. And another thread may have
been in the middle of something when the process forked, with a lock that nobody in the child would
ever release. So whatever has a lock starts anew, with all that it holds, or has a `ForkSafeLock`.
"""

from __future__ import annotations

import os
import threading
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


class ForkSafeLock:
    """A lock that nobody holds in a forked child. For what is kept there, and seldom locked."""

    @runs_again_in_children
    def __init__(self) -> None:
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()


def _start_anew() -> None:
    for made, make in list(_makers.items()):
        make(made)


if hasattr(os, "register_at_fork"):  # Windows has no fork.
    os.register_at_fork(after_in_child=_start_anew)
