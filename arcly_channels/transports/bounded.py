"""A bound for the messages of servers that gather them with wsproto."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from arcly_channels.wire.envelope import size_of


def bound_buffer(owner: object, limit: int, too_large: Callable[[], None]) -> bool:
    """Have `too_large` called for a message of more than `limit` bytes; False where that cannot be.

    `owner` is what uvicorn or hypercorn have for one connection, if they do.
    """
    buffer = getattr(owner, "buffer", None)
    is_known = all(hasattr(buffer, name) for name in ("extend", "clear", "to_message"))
    if is_known:
        vars(owner)["buffer"] = BoundedBuffer(buffer, limit, too_large)
    return is_known


class BoundedBuffer:
    """Stands before the buffer in which a server gathers a message, and keeps out what is too much.

    hypercorn itself goes on gathering what comes after its close frame, without bound.
    """

    __slots__ = ("_buffer", "_limit", "_size", "_too_large")

    def __init__(self, buffer: Any, limit: int, too_large: Callable[[], None]) -> None:
        self._buffer = buffer
        self._limit = limit
        self._size = 0
        self._too_large = too_large

    def extend(self, event: Any) -> None:
        data = event.data
        self._size += size_of(data) if isinstance(data, str) else len(data)
        if self._size <= self._limit:
            self._buffer.extend(event)
        else:
            self._buffer.clear()
            self._too_large()

    def clear(self) -> None:
        self._size = 0
        self._buffer.clear()

    def to_message(self) -> dict[str, Any]:
        """Return the message, or an empty one, which nobody is going to look at."""
        if self._size > self._limit:
            return {"type": "websocket.receive", "text": ""}
        message: dict[str, Any] = self._buffer.to_message()
        return message
