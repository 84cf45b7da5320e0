"""What every client of `arcly.v1` may send, whatever its gateway handles."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from arcly_channels.rooms import check_room
from arcly_channels.wire import protocol
from arcly_channels.wire.envelope import Event, Frame
from arcly_channels.wire.events import encode_reply

if TYPE_CHECKING:
    from arcly_channels.gateway.consumer import GatewayConsumer


async def _join(gateway: GatewayConsumer, event: Event) -> None:
    room = _room_of(event.data)
    await gateway._ask_may_join(room)
    await gateway.client.join(room, event.ref)


async def _leave(gateway: GatewayConsumer, event: Event) -> None:
    await gateway.client.leave(_room_of(event.data), event.ref)


async def _answer_ping(gateway: GatewayConsumer, event: Event) -> Frame | None:
    return None if event.ref is None else encode_reply(None, event.ref)


async def _take_pong(gateway: GatewayConsumer, event: Event) -> None:
    """Do nothing: that a frame came is all it says."""


CONTROLS: dict[str, Callable[[GatewayConsumer, Event], Awaitable[Frame | None]]] = {
    protocol.JOIN: _join,
    protocol.LEAVE: _leave,
    protocol.PING: _answer_ping,
    protocol.PONG: _take_pong,
}
"""By event."""


def _room_of(data: Any) -> str:
    room = data.get("room") if isinstance(data, dict) else None
    check_room(room)
    return str(room)
