"""The transport for any ASGI server: one writer, which awaits `send` for every frame.

It is bounded where the server's `send` waits for a slow client, as hypercorn's and granian's do.
"""

from __future__ import annotations

import asyncio
import logging

from arcly_channels.fanout.outbox import Outbox
from arcly_channels.transports.base import CLOSE_TIMEOUT, Message, Peer
from arcly_channels.transports.sockets import find_descriptor, unread
from arcly_channels.wire.envelope import Frame

logger = logging.getLogger(__name__)


class AsgiTransport:
    """Writes one connection's outbox with `send`, in a task that lives while there is something."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._loop = asyncio.get_running_loop()
        self._descriptor = find_descriptor(peer.send, peer.scope)
        self.is_blocked = False
        self._writer: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._is_stopped = False

    def flush(self, outbox: Outbox) -> None:
        if self._is_stopped:
            outbox.discard()
            return
        if self._writer is None and outbox.frames:
            self._writer = self._loop.create_task(self._write(outbox))
        if self._closing is None and outbox.close_code is not None:
            self._closing = self._loop.create_task(self._close(outbox))

    def unread(self) -> int | None:
        return unread(self._descriptor)

    def received(self) -> None:
        pass

    async def stop(self) -> None:
        self._is_stopped = True
        if (writer := self._writer) is not None:
            writer.cancel()
            await asyncio.wait([writer], timeout=CLOSE_TIMEOUT)
        if self._closing is not None:
            await asyncio.wait([self._closing], timeout=2 * CLOSE_TIMEOUT)
            self._closing.cancel()

    async def _write(self, outbox: Outbox) -> None:
        try:
            while (frame := outbox.take()) is not None:
                self.is_blocked = True
                await self._peer.send(_message(frame))
                self.is_blocked = False
        except OSError:
            outbox.discard()  # The client is gone: ASGI says so with an OSError.
        except Exception:
            outbox.discard()
            logger.exception("The server refused a frame; the connection is given up")
            self._peer.abandon()
        finally:
            self._writer, self.is_blocked = None, False

    async def _close(self, outbox: Outbox) -> None:
        """Give the writer its grace, then close, or reset the connection of who does not read.

        The server hangs up when the application has ended, which `abandon` sees to.
        """
        writer = self._writer
        if writer is not None:
            await asyncio.wait([writer], timeout=self._peer.grace)
        outbox.discard()
        self._peer.abandon()
        await asyncio.sleep(0)  # granian takes no close while a `receive` is pending.
        if writer is None or writer.done():
            await self._send_close(outbox.close_code or 1000, outbox.close_reason)
        else:
            writer.cancel()
            self._reset()

    def _reset(self) -> None:
        if self._descriptor is None:
            logger.warning(
                "A connection could not be reset, as its socket was not found: its client may keep "
                "it open. Behind middleware that changes the client's address, put "
                "arcly_channels.asgi.GatewayApplication around the whole application."
            )
        else:
            self._descriptor.reset()

    async def _send_close(self, code: int, reason: str) -> None:
        # Not `wait_for`: there are servers whose `send` does not end when it is cancelled.
        message = {"type": "websocket.close", "code": code, "reason": reason}
        sending = asyncio.ensure_future(self._peer.send(message))
        sending.add_done_callback(_log_failure)
        await asyncio.wait([sending], timeout=CLOSE_TIMEOUT)
        sending.cancel()


def _log_failure(sending: asyncio.Future[None]) -> None:
    if not sending.cancelled() and (error := sending.exception()):
        logger.debug("The server did not take a close: %r", error)


def _message(frame: Frame) -> Message:
    if frame.is_text:
        return {"type": "websocket.send", "text": frame.text}
    return {"type": "websocket.send", "bytes": frame.payload}
