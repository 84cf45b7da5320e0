"""What `arcly_channels` offers by name."""

from __future__ import annotations

import arcly_channels


def test_public_names_are_these() -> None:
    assert arcly_channels.__all__ == [
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


def test_every_public_name_is_there() -> None:
    assert all(hasattr(arcly_channels, name) for name in arcly_channels.__all__)


def test_every_error_of_the_package_is_an_arcly_error() -> None:
    errors = ("EnvelopeError", "EventRefused", "InvalidPayload", "PayloadMismatch", "Refused")
    root = arcly_channels.ArclyError
    assert all(issubclass(getattr(arcly_channels, name), root) for name in errors)
