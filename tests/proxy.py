"""A TCP proxy that does to connections what networks do: delays, resets and black holes."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")

DEADLINE = 10.0
CHUNK = 64 * 1024
UNDER_WAY = 1024
"""How many chunks are delayed at a time; then nothing more is read for a while."""

RESET = struct.pack("ii", 1, 0)
"""What has a socket send a reset when it is closed."""


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Chunks = asyncio.Queue[tuple[float, bytes]]


class Passage:
    """A client's connection, and the one to the server that belongs to it."""

    def __init__(self, proxy: Proxy, client: Stream, server: Stream) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        for _, writer in (client, server):
            writer.transport.set_write_buffer_limits(0)  # `drain` waits until all is written.
        self.sent = b""
        """The first of what the client has sent."""
        self._is_over = asyncio.Event()
        self.is_swallowed = False
        """Whether nothing passes any more, in neither direction; the ends are not told."""

    @property
    def has_subscribed(self) -> bool:
        """Whether the client has subscribed to something."""
        return b"SUBSCRIBE\r\n" in self.sent.upper()

    async def run(self) -> None:
        """Pass on what comes, until one end is closed."""
        ways = [
            asyncio.create_task(self._pass(self._client, self._server, is_up=True)),
            asyncio.create_task(self._pass(self._server, self._client, is_up=False)),
        ]
        ending = asyncio.create_task(self._is_over.wait())
        await asyncio.wait([*ways, ending], return_when=asyncio.FIRST_COMPLETED)
        if self.is_swallowed:
            await ending  # Neither end is told of the other's.
        for task in (*ways, ending):
            task.cancel()
        await asyncio.gather(*ways, ending, return_exceptions=True)
        for _, writer in (self._client, self._server):
            writer.transport.abort()  # What was to be written is.

    def end(self) -> None:
        """Close both connections."""
        self._is_over.set()

    def reset(self) -> None:
        """End both connections by a reset."""
        for _, writer in (self._client, self._server):
            raw: socket.socket = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            writer.transport.abort()
        self.end()

    async def _pass(self, source: Stream, target: Stream, *, is_up: bool) -> None:
        chunks: Chunks = asyncio.Queue(UNDER_WAY)
        writing = asyncio.create_task(self._write(chunks, target[1]))
        loop = asyncio.get_running_loop()
        try:
            while chunk := await source[0].read(CHUNK):
                if is_up and len(self.sent) < CHUNK:
                    self.sent += chunk
                delay = self._proxy.delay_up if is_up else self._proxy.delay_down
                await chunks.put((loop.time() + delay, chunk))
            await chunks.join()
        finally:
            writing.cancel()

    async def _write(self, chunks: Chunks, to: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        with suppress(ConnectionError):  # The way back ends, too.
            while True:
                due, chunk = await chunks.get()
                if due > loop.time():
                    await asyncio.sleep(due - loop.time())
                if not self.is_swallowed:
                    to.write(chunk)
                    await to.drain()
                chunks.task_done()


class Proxy:
    """Listens on `port` of 127.0.0.1, in a thread of its own, and passes on to `target`.

    Used in a `with`, it runs inside it. `target`, the port of the server, counts for connections
    to come; `delay_up` and `delay_down`, in seconds, for what comes from now on, to the server and
    from it. Its methods are for other threads, and return when it is done.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.delay_up = self.delay_down = 0.0
        self.port = 0
        self._passages: set[Passage] = set()
        self._serving = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy")

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def reset(self, which: Callable[[Passage], bool] = lambda passage: True) -> int:
        """Reset the connections that are `which`; return how many."""
        return self._each(which, Passage.reset)

    def swallow(self, which: Callable[[Passage], bool]) -> int:
        """Make black holes of the connections that are `which`; return how many.

        Whatever comes is read and goes nowhere, and nothing is closed. Others are as they were.
        """

        def swallow(passage: Passage) -> None:
            passage.is_swallowed = True

        return self._each(which, swallow)

    def _each(self, which: Callable[[Passage], bool], do: Callable[[Passage], None]) -> int:
        async def each() -> int:
            chosen = [passage for passage in self._passages if which(passage)]
            for passage in chosen:
                do(passage)
            return len(chosen)

        return self._run(each())

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(DEADLINE)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._serving += 1
        try:
            server = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
        else:
            passage = Passage(self, (reader, writer), server)
            self._passages.add(passage)
            await passage.run()
            self._passages.discard(passage)
        finally:
            self._serving -= 1

    async def _end(self) -> None:
        self._server.close()
        while self._serving:
            for passage in self._passages:
                passage.end()
            await asyncio.sleep(0.001)

    def __enter__(self) -> Proxy:
        self._thread.start()
        self._run(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(DEADLINE)
        self._loop.close()
