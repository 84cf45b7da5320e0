"""A bound for the messages of servers that gather them with wsproto."""

from __future__ import annotations

import math
from typing import Any

from arcly_channels.transports.base import TINY, Endpoint
from arcly_channels.wire.envelope import size_of


def bound_buffer(owner: object, limit: int, endpoint: Endpoint) -> None:
    """Have `endpoint` told of a message of more than `limit` bytes, and of tiny fragments.

    0 is no limit. `owner` is what uvicorn or hypercorn have for one connection, if they do.
    """
    buffer = getattr(owner, "buffer", None)
    if all(hasattr(buffer, name) for name in ("extend", "clear", "to_message")):
        vars(owner)["buffer"] = BoundedBuffer(buffer, limit, endpoint)


class BoundedBuffer:
    """Stands before the buffer in which a server gathers a message, and keeps out what is too much.

    hypercorn itself goes on gathering what comes after its close frame, without bound.
    """

    __slots__ = ("_buffer", "_endpoint", "_limit", "_size")

    def __init__(self, buffer: Any, limit: int, endpoint: Endpoint) -> None:
        self._buffer = buffer
        self._limit = limit or math.inf
        self._size = 0
        self._endpoint = endpoint

    def extend(self, event: Any) -> None:
        data = event.data
        if event.frame_finished and not event.message_finished and len(data) < TINY:
            self._endpoint.bothered()
        self._size += size_of(data) if isinstance(data, str) else len(data)
        if self._size <= self._limit:
            self._buffer.extend(event)
        else:
            self._buffer.clear()
            self._endpoint.too_large()

    def clear(self) -> None:
        self._size = 0
        self._buffer.clear()

    def to_message(self) -> dict[str, Any]:
        """Return the message, or an empty one, which nobody is going to look at."""
        if self._size > self._limit:
            return {"type": "websocket.receive", "text": ""}
        message: dict[str, Any] = self._buffer.to_message()
        return message
