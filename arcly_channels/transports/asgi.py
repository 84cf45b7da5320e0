"""The transport for any ASGI server: one writer, which awaits `send` for every frame.

It is bounded where the server's `send` waits for a slow client, as hypercorn's and granian's do.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from functools import lru_cache

from arcly_channels.close_codes import CloseCode
from arcly_channels.fanout.outbox import CUT, Outbox
from arcly_channels.logs import noted
from arcly_channels.transports.base import (
    CLOSE_TIMEOUT,
    Ending,
    Peer,
    ServerMessage,
    ask_by_event,
)
from arcly_channels.transports.bounded import bound_buffer
from arcly_channels.transports.hold import hold_server
from arcly_channels.transports.hypercorn import find_buffer, let_end, parse_in_turns
from arcly_channels.transports.sockets import (
    acknowledged,
    find_descriptor,
    is_left,
    silence,
    unread,
)
from arcly_channels.wire.envelope import Frame

logger = logging.getLogger(__name__)


SLOW = 0.003
"""Seconds that a server may take for one frame before it is the peer who keeps it waiting.

Far more than a send costs. A socket takes a third of its buffer at a time, at least 29 KB, so only
a client that reads 10 MB/s keeps the server waiting for less.
"""

TALKATIVE = (CloseCode.MESSAGE_TOO_BIG, CloseCode.RATE_LIMITED)
"""The codes for clients that are likely to be sending at the moment."""


class AsgiTransport:
    """Writes one connection's outbox with `send`, in a task that lives while there is something."""

    hears_pongs = False

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._loop = asyncio.get_running_loop()
        self._descriptor = find_descriptor(peer.send, peer.scope)
        self._buffer = find_buffer(peer.send)
        self._parsing = parse_in_turns(peer.send, peer.endpoint)
        self._writer: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._resetting: asyncio.Task[None] | None = None
        self._hurry: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._is_stopped = self._is_reset = False
        self._held_up = 0.0
        self._sending_since: float | None = None
        bound_buffer(getattr(peer.send, "__self__", None), peer.message_bytes, peer.endpoint)

    def flush(self, outbox: Outbox) -> None:
        if self._is_stopped:
            return  # What is left is the writer's, if the close is still to get out.
        if self._timer is not None:
            outbox.discard()
            return
        if self._writer is None and outbox.frames:
            writer = self._loop.create_task(self._write(outbox))
            self._writer = None if writer.done() else writer  # An eager one may have ended.
            if self._watch is None and self._writer is not None:
                self._watch = self._loop.call_later(CLOSE_TIMEOUT, self._look, outbox)
        if self._closing is None and outbox.close_code is not None:
            self._closing = self._loop.create_task(self._close(outbox))

    def held_up(self) -> float:
        since = self._sending_since
        now = 0.0 if since is None else self._loop.time() - since
        # Whose kernel has taken all there was kept nobody waiting: the machine did.
        return self._held_up + (now if now > SLOW and self.unread() != 0 else 0.0)

    def unread(self) -> int | None:
        return unread(self._descriptor) if self._buffer is None else len(self._buffer.buffer)

    def acknowledged(self) -> int | None:
        return acknowledged(self._descriptor)

    def silence(self) -> float:
        return silence(self._descriptor)

    def has_left(self) -> bool:
        return is_left(self._descriptor)

    def ask(self, outbox: Outbox) -> bool:
        return ask_by_event(outbox, self._peer.endpoint)

    def received(self) -> None:
        pass

    def ignore(self) -> None:
        if self._parsing is not None:
            self._parsing.end()

    def hold_server(self, drain: Ending) -> None:
        hold_server(drain, self._peer.send)

    @property
    def is_over(self) -> bool:
        # granian closes the socket of one that was reset when nobody knows its `send` any more.
        return self._is_stopped and (self._is_reset or not self.unread())

    def abort(self) -> None:
        self._reset()

    async def stop(self) -> None:
        self._is_stopped = True
        for timer in (self._timer, self._watch):
            if timer is not None:
                timer.cancel()
        try:
            if self._closing is not None:
                await self._wait_for_close(self._closing)
        finally:
            tasks = [each for each in (self._writer, self._closing) if each is not None]
            for each in tasks:
                each.cancel()
            if tasks:
                await asyncio.wait(tasks, timeout=CLOSE_TIMEOUT)
            let_end(self._peer.receive)
            if self._descriptor is not None and self.unread():
                # The server may wait for ever for the client to take that. When it has closed the
                # socket meanwhile this does nothing, and it keeps nothing else of the connection.
                self._timer = self._loop.call_later(CLOSE_TIMEOUT, self._descriptor.reset)

    async def _wait_for_close(self, closing: asyncio.Task[None]) -> None:
        """Let what waits get out, and the close behind it, but not for all of the grace."""
        await asyncio.wait([closing], timeout=CLOSE_TIMEOUT)
        if self._hurry is not None and not self._hurry.done():
            self._hurry.set_result(None)
        await asyncio.wait([closing], timeout=CLOSE_TIMEOUT)

    async def _write(self, outbox: Outbox) -> None:
        try:
            while self._is_open() and (message := self._next(outbox)) is not None:
                self._sending_since = self._loop.time()
                await self._peer.send(message)
                if self._buffer is not None:
                    await self._buffer.drain()
                self._held_up, self._sending_since = self.held_up(), None
                if outbox.frames:
                    outbox.lane.tally.writes += 1  # The first is counted by the lane.
        except OSError:
            self._lose(outbox)  # The client is gone: ASGI says so with an OSError.
        except Exception:
            outbox.discard()
            extra = noted(outbox.connection_id)
            logger.exception("The server refused a frame; the connection is given up", extra=extra)
            self._peer.endpoint.abandon()
        else:
            if outbox.frames:
                self._lose(outbox)
        finally:
            self._writer = self._sending_since = None

    def _next(self, outbox: Outbox) -> ServerMessage | None:
        """Take what is to be sent next; return None when nothing waits."""
        frame = outbox.take()
        return None if frame is None else _message(frame)

    def _last(self, code: int, reason: str) -> ServerMessage:
        """Return what ends the connection."""
        return {"type": "websocket.close", "code": code, "reason": reason}

    def _is_open(self) -> bool:
        """Return whether what is sent gets anywhere, as far as the server shows it.

        hypercorn drops it without a word once the client has sent a close frame, but tells the
        application of that only when the client has read the answer.
        """
        owner = getattr(self._peer.send, "__self__", None)
        state = getattr(getattr(owner, "connection", owner), "state", None)
        return getattr(state, "name", "OPEN") == "OPEN"

    def _look(self, outbox: Outbox) -> None:
        """See now and then whether a client that takes nothing is still the server's."""
        self._watch = None
        if self._writer is None:
            return
        if self._is_open():
            self._watch = self._loop.call_later(CLOSE_TIMEOUT, self._look, outbox)
        else:
            self._lose(outbox)

    def _lose(self, outbox: Outbox) -> None:
        """End with a client that its server has given up, if the server does not say so soon."""
        outbox.discard()
        if self._timer is None and not self._is_stopped:
            self._timer = self._loop.call_later(CLOSE_TIMEOUT, self._give_up)
            outbox.lane.call(outbox.close, CUT)

    def _give_up(self) -> None:
        self._reset()
        self._peer.endpoint.abandon()

    async def _close(self, outbox: Outbox) -> None:
        """Give the writer its grace, then close, or reset the connection of who does not read.

        The server hangs up when the application has ended, which `abandon` sees to.
        """
        writer = self._writer
        if writer is not None:
            self._hurry = self._loop.create_future()
            ends = asyncio.FIRST_COMPLETED
            await asyncio.wait([writer, self._hurry], timeout=self._peer.grace, return_when=ends)
        outbox.discard()
        self._peer.endpoint.abandon()
        await asyncio.sleep(0)  # granian takes no close while a `receive` is pending.
        if outbox.close_code == CloseCode.IDLE_TIMEOUT and self.silence():
            self._reset()  # A close would wait in the kernel, and the socket with it.
        elif writer is None or writer.done():
            await self._send_close(outbox.close_code or 1000, outbox.close_reason)
            if outbox.close_code in TALKATIVE:
                await self._hear_out()
        else:
            self._reset()
        if writer is not None:
            writer.cancel()

    async def _hear_out(self) -> None:
        """Take, for a while, what the client goes on sending, until it has answered.

        If the server closed the connection before that, a reset would overtake what it was told.
        """
        hearing = self._loop.create_task(self._discard())
        try:
            await asyncio.wait([hearing], timeout=CLOSE_TIMEOUT)
        finally:
            hearing.cancel()

    async def _discard(self) -> None:
        with suppress(Exception):  # Servers have several ways to say that a client is gone.
            while (await self._peer.receive())["type"] != "websocket.disconnect":
                pass

    def _reset(self) -> None:
        self._is_reset = True
        if self._buffer is not None:
            self._resetting = self._loop.create_task(self._buffer.close())  # The stream only.
        elif self._descriptor is not None:
            self._descriptor.reset()
        else:
            _warn_of_reset()

    async def _send_close(self, code: int, reason: str) -> None:
        # Not `wait_for`: there are servers whose `send` does not end when it is cancelled.
        sending = asyncio.ensure_future(self._peer.send(self._last(code, reason)))
        sending.add_done_callback(_log_failure)
        await asyncio.wait([sending], timeout=CLOSE_TIMEOUT)
        sending.cancel()


@lru_cache(maxsize=1)
def _warn_of_reset() -> None:
    logger.warning(
        "A connection could not be reset, as its socket was not found: a client that does not read "
        "may keep it open. Where middleware changes the client's address, put "
        "arcly_channels.asgi.GatewayApplication around the whole application."
    )


def _log_failure(sending: asyncio.Future[None]) -> None:
    if not sending.cancelled() and (error := sending.exception()):
        logger.debug("The server did not take a close: %r", error)


def _message(frame: Frame) -> ServerMessage:
    if frame.is_text:
        return {"type": "websocket.send", "text": frame.text}
    return {"type": "websocket.send", "bytes": frame.payload}
