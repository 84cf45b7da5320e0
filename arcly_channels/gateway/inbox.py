"""The Channels messages that are sent to a gateway's own channel.

Channels keeps a task waiting for them in every consumer. Most gateways never get one, so here a
bare future waits, and a task lives only while there are messages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from arcly_channels.close_codes import CloseCode
from arcly_channels.gateway.turns import Turns
from arcly_channels.layers.base import GatewayLayer
from arcly_channels.layers.mailbox import EVICTED
from arcly_channels.layers.message import Copier, Message
from arcly_channels.layers.waiter import Waiter
from arcly_channels.session.session import Session

CANCEL_TIMEOUT = 1.0
"""Seconds that a handler gets to end when it is cancelled."""


class Inbox:
    """Hands the messages on one channel to `handle`, in order.

    A failure of it fails the consumer's `turns`. Where nothing was taken from a full channel for
    too long, `session` is closed as too slow.
    """

    __slots__ = (
        "_channel",
        "_handle",
        "_is_closed",
        "_layer",
        "_reader",
        "_session",
        "_turns",
        "_under_way",
        "_waiter",
    )

    def __init__(
        self,
        layer: GatewayLayer,
        channel: str,
        handle: Callable[[Message], Awaitable[None]],
        session: Session,
        turns: Turns,
    ) -> None:
        self._layer = layer
        self._channel = channel
        self._handle = handle
        self._session = session
        self._turns = turns
        self._is_closed = False
        self._under_way: Message | None = None
        self._reader: asyncio.Task[None] | None = None
        self._waiter: Waiter | None = layer.wait(channel)
        self._waiter.add_done_callback(self._on_message)

    async def close(self) -> Message | None:
        """Read no more; cancel what is under way, and wait for it to end, but not for ever.

        Returns the message whose handler goes on nevertheless.
        """
        self._is_closed = True
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            self._layer.stop_waiting(self._channel, waiter)
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait([self._reader], timeout=CANCEL_TIMEOUT)
        return self._under_way

    def _on_message(self, waiter: Waiter) -> None:
        if not self._is_closed:  # Else this was on its way already, and the message is put back.
            self._reader = asyncio.get_running_loop().create_task(self._read(waiter))

    async def _read(self, waiter: Waiter) -> None:
        try:
            while waiter.done():
                self._waiter = None  # What it was given is ours now.
                await self._take(waiter.result())
                if self._is_closed:
                    return  # The handler went on in spite of being cancelled.
                waiter = self._waiter = self._layer.wait(self._channel)
        except asyncio.CancelledError as error:
            if self._is_closed:
                raise
            self._turns.fail(error)  # It is the consumer's to find out for whom this was.
        except Exception as error:  # noqa: BLE001  # It is the consumer's, which raises it.
            self._turns.fail(error)
        else:
            self._reader = None
            waiter.add_done_callback(self._on_message)

    async def _take(self, message: Copier | None) -> None:
        if message is EVICTED:  # By identity: anybody may send what looks like it.
            self._session.close(CloseCode.SLOW_CONSUMER)
        elif message is not None:
            self._under_way = message()
            try:
                await self._handle(self._under_way)
            finally:
                self._under_way = None
