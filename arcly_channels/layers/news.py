"""What all processes of a project should know, whatever it is about: who tells, and who listens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

_listeners: dict[str, Callable[[Any], None]] = {}


def listen(topic: str, listener: Callable[[Any], None]) -> None:
    """Have `listener` called with what other processes tell about a topic, in an event loop."""
    _listeners[topic] = listener


def tell(topic: str, what: Any) -> None:
    """Tell the listener in this process; a topic that nobody knows is of another release."""
    listener = _listeners.get(topic)
    if listener is not None:
        listener(what)
