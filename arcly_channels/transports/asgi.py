"""The transport for any ASGI server: one writer, which awaits `send` for every frame.

It is bounded where the server's `send` waits for a slow client, as uvicorn's, hypercorn's and
granian's do. Daphne's never waits (it buffers without bound), and so needs a transport of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from arcly_channels.envelope import Frame
from arcly_channels.outbox import Outbox

logger = logging.getLogger(__name__)

Send = Callable[[dict[str, Any]], Awaitable[None]]

CLOSE_TIMEOUT = 1.0
"""Seconds that the server gets to take a close message, and the peer to answer it."""


class AsgiTransport:
    """Writes one connection's outbox with `send`, in a task that lives while there is something.

    `grace` is how many seconds a closing connection may take to read its backlog. `abandon` is
    called once when the close was sent and the peer had `CLOSE_TIMEOUT` to answer, or when it could
    not be sent: the application should end then, which is how an ASGI server is made to hang up.
    """

    def __init__(self, send: Send, *, grace: float, abandon: Callable[[], None]) -> None:
        self._send = send
        self._grace = grace
        self._abandon = abandon
        self._loop = asyncio.get_running_loop()
        self._writer: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._is_stopped = False

    def flush(self, outbox: Outbox) -> None:
        if self._is_stopped:
            outbox.discard()
        elif outbox.close_code is not None:
            if self._closing is None:
                self._closing = self._loop.create_task(self._close(outbox))
        elif self._writer is None:
            self._writer = self._loop.create_task(self._write(outbox))

    def stop(self) -> None:
        self._is_stopped = True
        for task in (self._writer, self._closing):
            if task is not None:
                task.cancel()

    async def _write(self, outbox: Outbox) -> None:
        try:
            while (frame := outbox.take()) is not None:
                await self._send(_message(frame))
        except OSError:
            outbox.discard()  # The peer is gone: ASGI says so with an OSError.
        except Exception:
            outbox.discard()
            logger.exception("The server refused a frame; the connection is given up")
            self._abandon()
        finally:
            self._writer = None

    async def _close(self, outbox: Outbox) -> None:
        """Give the writer its grace, then close, then wait for the peer's answer."""
        try:
            if self._grace > 0:
                if self._writer is None:
                    self._writer = self._loop.create_task(self._write(outbox))
                await asyncio.wait([self._writer], timeout=self._grace)
            if self._writer is not None:
                self._writer.cancel()
            outbox.discard()
            close = {
                "type": "websocket.close",
                "code": outbox.close_code,
                "reason": outbox.close_reason,
            }
            await asyncio.wait_for(self._send(close), CLOSE_TIMEOUT)
            await asyncio.sleep(CLOSE_TIMEOUT)  # `stop` cancels this when the peer has answered.
        except (OSError, asyncio.TimeoutError):
            pass  # It does not close, so it is aborted.
        except Exception:
            logger.exception("The server refused to close a connection, which is given up")
        self._abandon()


def _message(frame: Frame) -> dict[str, Any]:
    if frame.is_text:
        return {"type": "websocket.send", "text": frame.text}
    return {"type": "websocket.send", "bytes": frame.payload}
