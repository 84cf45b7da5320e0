"""A Django Channels layer and consumer mixin for real-time servers that stay up."""

from arcly_channels._version import __version__
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
