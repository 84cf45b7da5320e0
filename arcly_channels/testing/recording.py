"""A communicator that knows all that went both ways, and raises what the application fails with."""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import count
from typing import Any, NoReturn

import orjson
from channels.testing import WebsocketCommunicator

from arcly_channels.asgi import Application
from arcly_channels.close_codes import CloseCode
from arcly_channels.gateway.reporting import FAILED
from arcly_channels.layers.message import Message
from arcly_channels.testing.waiting import turns
from arcly_channels.testing.wire import difference, listed
from arcly_channels.wire import protocol
from arcly_channels.wire.envelope import encode
from arcly_channels.wire.events import EVENT

MARK = "arcly_channels.mark"
"""An event that a gateway sends its client when it has handled all that came before."""

PING, PONG = protocol.V1.ping.text, encode(protocol.PONG, None).text

SHOWN = 50
"""How many frames a failure shows, the newest."""

MAX_LINE = 300
"""How much of each."""


class RecordingCommunicator(WebsocketCommunicator):
    """The raw half of `GatewayCommunicator`: messages in their order, and what to say of them."""

    timeout = 5.0
    """Seconds that a frame is waited for. Only a test that fails takes that long."""

    def __init__(
        self,
        application: Application,
        path: str = "/",
        headers: list[tuple[bytes, bytes]] | None = None,
        subprotocols: list[str] | None = None,
        spec_version: str | None = None,
        *,
        raise_errors: bool = True,
        answers_pings: bool = True,
    ) -> None:
        super().__init__(application, path, headers, subprotocols, spec_version)
        self.raise_errors = raise_errors
        self.answers_pings = answers_pings
        self._outlet: asyncio.Queue[Message] | None = None
        self._came: deque[Message] = deque()
        """What was taken from the application, and is yet to be looked at."""
        self._history: deque[str] = deque(maxlen=SHOWN)
        self._failures: list[BaseException] = []
        """What handlers have raised, and nobody here has heard of yet."""
        self._has_raised = self._is_closed = False
        self._numbers = count(1)
        if raise_errors:
            self.scope["extensions"] = {FAILED: self._failures.append}

    async def settle(self) -> None:
        """Return when the gateway has handled all that it was sent, by this client and by others.

        What it has sent meanwhile is there to be expected. Handlers that run beside others, by
        their `concurrency`, and what they have started elsewhere, are not waited for. To the
        gateway this is a sign of life.
        """
        __tracebackhide__ = True
        self._require_connect()
        await turns()  # What was sent through the layer gets in line.
        if self._is_over():
            return
        mark = next(self._numbers)
        await self.input_queue.put({"type": EVENT, "event": MARK, "data": mark})
        while not self._is_over():
            message = await self._arrival()
            if message is None and self.future.done():
                return
            if message is None:
                self._fail(f"the gateway handles what it was sent for more than {self.timeout:g} s")
            if event_of(message) == MARK and value_of(message)["data"] == mark:
                return
            self._came.append(message)

    @property
    def output_queue(self) -> asyncio.Queue[Message]:
        """What the application has sent."""
        if self._outlet is None:
            self._outlet = _Answering(self.answers_pings, self.input_queue)
        return self._outlet

    # Ending

    async def disconnect(self, code: int | None = 1000, timeout: float | None = None) -> None:
        """Close, or answer a close, and return when the gateway has ended; raise what failed in it.

        Without a `code` the connection is cut. Idempotent.
        """
        __tracebackhide__ = True
        if self._future is None:
            return  # It was never connected.
        if not self.future.done():
            message: Message = {"type": "websocket.disconnect"}
            await self.input_queue.put(message if code is None else {**message, "code": code})
        await self.wait(timeout)

    async def wait(self, timeout: float | None = None) -> None:
        """Return when the gateway has ended by itself; raise what failed in it."""
        __tracebackhide__ = True
        await asyncio.wait([self.future], timeout=self.timeout if timeout is None else timeout)
        if not self.future.done():
            self.future.cancel()
            self._fail("the gateway was expected to end, and goes on")
        self._raise_end()
        if self._failures:
            raise self._failures.pop(0)

    # What Channels' methods are made of

    async def send_input(self, message: Message) -> None:
        """Give the application a message, as the server would."""
        __tracebackhide__ = True
        if self.future.done():
            self._raise_end()
        self._note("→", message)
        await self.input_queue.put(message)

    async def receive_output(self, timeout: float | None = None) -> Message:
        """Return what the application sends next, or fail; raise what it ended with."""
        __tracebackhide__ = True
        return await self._next("a message", timeout)

    async def send_to(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Send a frame, which may be empty."""
        __tracebackhide__ = True
        self._require_connect()
        frame = {"bytes": bytes_data} if text_data is None else {"text": text_data}
        await self.send_input({"type": "websocket.receive", **frame})

    async def receive_from(self, timeout: float | None = None) -> str | bytes:
        """Return the next frame."""
        __tracebackhide__ = True
        message = await self._next("a frame", timeout)
        if message["type"] != "websocket.send":
            self._fail(f"a frame was expected, and this came: {in_short(message)}")
        frame: str | bytes = message["bytes"] if message.get("text") is None else message["text"]
        return frame

    async def receive_json_from(self, timeout: float | None = None) -> Any:
        """Return the value of the next frame."""
        __tracebackhide__ = True
        return await super().receive_json_from(timeout)

    async def receive_nothing(self, timeout: float = 0, interval: float = 0) -> bool:
        """Return whether the gateway has sent nothing; see `settle`, which needs no time for it."""
        await self.settle()
        return not self._came

    # Inside

    async def _next(self, what: str, timeout: float | None = None) -> Message:
        """Return what comes next; raise what the gateway ended with, or fail for want of `what`."""
        __tracebackhide__ = True
        self._require_connect()
        timeout = self.timeout if timeout is None else timeout
        message = self._came.popleft() if self._came else await self._arrival(timeout)
        if message is None:
            self._raise_end()
            if self.future.done():
                self._fail(f"{what} was expected, and the gateway has ended")
            self._fail(f"{what} was expected, and nothing came in {timeout:g} s")
        if self.raise_errors and message.get("code") == CloseCode.INTERNAL_ERROR:
            # It may be about to end with an error, which says more than the code.
            await asyncio.wait([self.future], timeout=timeout)
            self._raise_end()
        return message

    async def _arrival(self, timeout: float | None = None) -> Message | None:
        """Return the next message of the application, or None when it has ended, or out of time."""
        getting = asyncio.ensure_future(self.output_queue.get())
        await asyncio.sleep(0)  # What is there already comes before an end.
        try:
            await asyncio.wait(
                [getting, self.future],
                timeout=self.timeout if timeout is None else timeout,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            if not getting.done():
                getting.cancel()
        if not getting.done():
            return None
        message: Message = getting.result()
        self._is_closed |= message["type"] == "websocket.close"
        if event_of(message) != MARK:
            self._note("←", message)
        return message

    def _require_connect(self) -> None:
        """Raise `RuntimeError` where the gateway would hear of a client that has not connected."""
        __tracebackhide__ = True
        if self._future is None:
            raise RuntimeError("this client is not connected: await client.connect() first")

    def _is_over(self) -> bool:
        """Whether nothing is to come any more but what is there already."""
        return self.future.done() or self._is_closed

    def _raise_end(self) -> None:
        """Raise what the application has ended with, once."""
        if self._has_raised or not self.raise_errors or not self.future.done():
            return
        error = None if self.future.cancelled() else self.future.exception()
        if error is not None:
            self._has_raised = True
            raise error

    def _note(self, arrow: str, message: Message) -> None:
        self._history.append(f"{arrow} {in_short(message)}")

    def _fail(self, what: str, expected: Any = None, came: Any = None) -> NoReturn:
        """Fail the test with all that there is to know; a handler's failure is the cause."""
        __tracebackhide__ = True
        while not self.output_queue.empty():
            self._note("←", self.output_queue.get_nowait())
        parts = [what]
        if expected is not None:
            parts.append(f"(- expected, + came)\n{difference(expected, came)}")
        parts.append(listed("The frames so far, → from the client, ← to it:", self._history))
        raise AssertionError("\n".join(parts)) from next(iter(self._failures), None)


class _Answering(asyncio.Queue[Message]):
    """A queue of what an application sends, whose pings are answered as any client does."""

    def __init__(self, answers: bool, input_queue: asyncio.Queue[Message]) -> None:
        super().__init__()
        self._answers = answers
        self._input = input_queue

    async def put(self, message: Message) -> None:
        await super().put(message)
        if self._answers and message.get("text") == PING:
            await self._input.put({"type": "websocket.receive", "text": PONG})


def value_of(message: Message) -> Any:
    """Return what the text of a frame means as JSON; None for whatever else a message is."""
    try:
        return orjson.loads(message.get("text") or "")
    except ValueError:
        return None


def in_short(message: Message) -> str:
    """Return a message as a line: its frame as it is, cut where it is long, or words for others."""
    frame = message.get("text") or message.get("bytes")
    if frame is None:
        more = (message.get("code"), message.get("reason"), message.get("subprotocol"))
        kind = message["type"].removeprefix("websocket.")
        return " ".join([kind, *(str(each) for each in more if each)])
    return str(frame) if len(frame) <= MAX_LINE else f"{frame[:MAX_LINE]!s}…"


def event_of(message: Message) -> Any:
    """Return the event that a message is, or None."""
    envelope = value_of(message)
    return envelope.get("event") if isinstance(envelope, dict) else None


def is_ping(message: Message) -> bool:
    return message.get("text") == PING
