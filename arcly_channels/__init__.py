"""A Django Channels layer and consumer mixin for real-time servers that stay up.

Begin with `help(GatewayConsumer)`: a class of yours, made once for each connected client.
`subscribe` marks the methods that handle its events. From anywhere else in Django, `broadcast` and
`broadcast_to_room` send events, `send_to` to one client, and `disconnect_user` makes somebody go;
each has a twin with an `a` before its name, for async code. Errors are one tree, `ArclyError`.
The layers are in `arcly_channels.layers`, claims and tenants in `arcly_channels.identity`.

A name is imported when it is first asked for, so a task that only broadcasts loads no gateway.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from arcly_channels._version import __version__

if TYPE_CHECKING:
    from arcly_channels.close_codes import CloseCode
    from arcly_channels.exceptions import (
        ArclyError,
        EnvelopeError,
        EventRefused,
        InvalidPayload,
        InvalidRoom,
        LoopStalled,
        PayloadMismatch,
        Refused,
        RelayError,
        RelayOutcomeUnknown,
        RelayUnanswered,
        RelayUnavailable,
    )
    from arcly_channels.gateway.consumer import GatewayConsumer
    from arcly_channels.gateway.disconnect import (
        adisconnect_tenant,
        adisconnect_token,
        adisconnect_user,
        disconnect_tenant,
        disconnect_token,
        disconnect_user,
    )
    from arcly_channels.gateway.publish import (
        abroadcast,
        abroadcast_to_room,
        aconnection_count,
        aroom_size,
        asend_to,
        broadcast,
        broadcast_to_room,
        connection_count,
        room_size,
        send_to,
    )
    from arcly_channels.gateway.sse import EventStream
    from arcly_channels.gateway.subscriptions import subscribe
    from arcly_channels.reasons import DisconnectReason
    from arcly_channels.rooms import group_name
    from arcly_channels.session.client import ClientHandle

__all__ = [
    "ArclyError",
    "ClientHandle",
    "CloseCode",
    "DisconnectReason",
    "EnvelopeError",
    "EventRefused",
    "EventStream",
    "GatewayConsumer",
    "InvalidPayload",
    "InvalidRoom",
    "LoopStalled",
    "PayloadMismatch",
    "Refused",
    "RelayError",
    "RelayOutcomeUnknown",
    "RelayUnanswered",
    "RelayUnavailable",
    "__version__",
    "abroadcast",
    "abroadcast_to_room",
    "aconnection_count",
    "adisconnect_tenant",
    "adisconnect_token",
    "adisconnect_user",
    "aroom_size",
    "asend_to",
    "broadcast",
    "broadcast_to_room",
    "connection_count",
    "disconnect_tenant",
    "disconnect_token",
    "disconnect_user",
    "group_name",
    "room_size",
    "send_to",
    "subscribe",
]

_NAMES = {
    "close_codes": "CloseCode",
    "exceptions": (
        "ArclyError EnvelopeError EventRefused InvalidPayload InvalidRoom LoopStalled "
        "PayloadMismatch Refused RelayError RelayOutcomeUnknown RelayUnanswered RelayUnavailable"
    ),
    "gateway.consumer": "GatewayConsumer",
    "gateway.disconnect": (
        "adisconnect_tenant adisconnect_token adisconnect_user "
        "disconnect_tenant disconnect_token disconnect_user"
    ),
    "gateway.publish": (
        "abroadcast abroadcast_to_room aconnection_count aroom_size asend_to "
        "broadcast broadcast_to_room connection_count room_size send_to"
    ),
    "gateway.sse": "EventStream",
    "gateway.subscriptions": "subscribe",
    "reasons": "DisconnectReason",
    "rooms": "group_name",
    "session.client": "ClientHandle",
}
_HOMES = {name: module for module, names in _NAMES.items() for name in names.split()}
"""Where each name is; type checkers read the imports above."""


if not TYPE_CHECKING:  # Type checkers would take it that any name is here.

    def __getattr__(name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        globals()[name] = found  # So that nobody asks again.
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
