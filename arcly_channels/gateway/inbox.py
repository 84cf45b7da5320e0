"""The Channels messages that are sent to a gateway's own channel.

Channels keeps a task waiting for them in every consumer. Most gateways never get one, so here a
bare future waits, and a task lives only while there are messages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from arcly_channels.layers.base import GatewayLayer
from arcly_channels.layers.mailbox import EVICTED
from arcly_channels.layers.message import Message
from arcly_channels.layers.waiter import Waiter


class Inbox:
    """Hands the messages on one channel to `dispatch`, in order, and a failure of it to `fail`."""

    __slots__ = ("_channel", "_dispatch", "_fail", "_layer", "_reader", "_waiter")

    def __init__(
        self,
        layer: GatewayLayer,
        channel: str,
        dispatch: Callable[[Message], Awaitable[None]],
        fail: Callable[[BaseException], None],
    ) -> None:
        self._layer = layer
        self._channel = channel
        self._dispatch = dispatch
        self._fail = fail
        self._reader: asyncio.Task[None] | None = None
        self._waiter: Waiter | None = layer.wait(channel)
        self._waiter.add_done_callback(self._on_message)

    async def close(self) -> None:
        """Read no more; cancel what is under way and wait for it to end."""
        if self._waiter is not None:
            self._waiter.remove_done_callback(self._on_message)
            self._layer.stop_waiting(self._channel, self._waiter)
        if self._reader is not None and self._reader is not asyncio.current_task():
            self._reader.cancel()
            await asyncio.wait([self._reader])

    def _on_message(self, waiter: Waiter) -> None:
        self._reader = asyncio.get_running_loop().create_task(self._read(waiter))

    async def _read(self, waiter: Waiter) -> None:
        try:
            while waiter.done():
                self._waiter = None  # What it was given is ours now.
                message = waiter.result()
                if message is EVICTED:
                    await self._dispatch({"type": "gateway.evicted"})
                elif message is not None:
                    await self._dispatch(message())
                waiter = self._waiter = self._layer.wait(self._channel)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001  # It is the consumer's, which raises it.
            self._fail(error)
        else:
            self._reader = None
            waiter.add_done_callback(self._on_message)
