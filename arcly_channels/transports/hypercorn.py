"""What hypercorn holds of one connection, on either way, and how much of it is parsed at a time.

Over HTTP/2 its `send` does not wait for the client.
`StreamBuffer.push` means to wait while much is buffered. But a client that grants no window has
hypercorn take nothing out of the buffer, again and again, and each time that lets `push` go on:
one connection took 150 MB (hypercorn 0.18). So who writes has to wait until the buffer is empty.

It uses private parts of hypercorn. `find_buffer` returns None for one that looks different, and
for HTTP/1.1; a test pins what is used here.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from typing import Any, Protocol
from weakref import ref

from arcly_channels.transports.base import Endpoint

SLICE = 1024
"""Bytes that hypercorn parses at a time, with every frame in them: 170 empty ones, in 5 to 10 ms.

It reads 64 KiB, which hold 11,000 empty frames. Nothing in their parsing waits but for room in the
queue of the application, of which there is no end once that receives no more.
"""


class StreamBuffer(Protocol):
    """What hypercorn holds of one stream until the client's window allows to send it."""

    buffer: bytearray

    async def drain(self) -> None:
        """Return when nothing is held, or the stream is closed."""

    async def close(self) -> None:
        """Drop what is held, so that the stream ends, and take nothing more."""


def find_buffer(send: object) -> StreamBuffer | None:
    """Return the buffer of the HTTP/2 stream behind hypercorn's `send`, or None."""
    stream: Any = getattr(send, "__self__", None)
    protocol = getattr(getattr(stream, "send", None), "__self__", None)
    buffers = getattr(protocol, "stream_buffers", None)
    found = buffers.get(stream.stream_id) if isinstance(buffers, dict) else None
    is_known = all(hasattr(found, name) for name in ("buffer", "drain", "close"))
    return found if is_known else None


class Parsing:
    """Has hypercorn parse what it reads of one connection in slices, and others run in between.

    `endpoint` is told of each ping and pong.
    """

    __slots__ = ("_endpoint", "_is_over", "_stream")

    def __init__(self, stream: Any, endpoint: Endpoint) -> None:
        self._stream = ref(stream)  # Which holds this.
        self._endpoint = endpoint
        self._is_over = False

    def end(self) -> None:
        """Have nothing more parsed, be it an answer to our close."""
        self._is_over = True

    async def handle(self, event: Any) -> None:
        stream: Any = self._stream()
        data = getattr(event, "data", b"")
        if len(data) <= SLICE:
            if not (data and self._is_over):
                await type(stream).handle(stream, event)
            return
        for at in range(0, len(data), SLICE):
            if self._is_over:
                return
            piece = dataclasses.replace(event, data=data[at : at + SLICE])
            await type(stream).handle(stream, piece)
            await asyncio.sleep(0)

    def events(self) -> Iterator[Any]:
        """Yield what was parsed, in place of the connection's own method."""
        stream: Any = self._stream()
        for event in type(stream.connection).events(stream.connection):
            if hasattr(event, "payload"):
                self._endpoint.bothered()
            yield event


def parse_in_turns(send: object, endpoint: Endpoint) -> Parsing | None:
    """Return how hypercorn parses from now on what it reads of one connection; None elsewhere."""
    stream: Any = getattr(send, "__self__", None)
    module = type(stream).__module__
    if not (module.startswith("hypercorn.") and hasattr(stream, "handle")):
        return None
    parsing = Parsing(stream, endpoint)
    stream.handle = parsing.handle
    connection: Any = getattr(stream, "connection", None)
    if type(connection).__module__.startswith("wsproto"):
        connection.events = parsing.events
    return parsing


def let_end(receive: object) -> None:
    """Let the connection end whose application receives no more.

    hypercorn tells it of that by its queue, and would wait for ever while that is full: for 10
    frames that came in vain it kept the socket, and two tasks, after the client had gone.
    """
    queue = getattr(receive, "__self__", None)
    if isinstance(queue, asyncio.Queue) and queue.maxsize and hasattr(queue, "_maxsize"):
        queue._maxsize = 0
        while not queue.empty():
            queue.get_nowait()  # Each wakes one that waits for room.
