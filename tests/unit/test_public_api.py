"""What `arcly_channels` offers by name."""

from __future__ import annotations

import pytest

import arcly_channels
from arcly_channels import testing


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


def test_public_names_of_the_test_kit_are_these() -> None:
    assert testing.__all__ == [
        "Broadcast",
        "Broadcasts",
        "Clients",
        "Clock",
        "GatewayCommunicator",
        "GatewayTestMixin",
        "LiveGatewayTestCase",
        "LiveServer",
        "capture_broadcasts",
        "isolated_layers",
    ]


def test_every_public_name_is_there() -> None:
    for module in (arcly_channels, testing):
        assert all(hasattr(module, name) for name in module.__all__)


def test_every_error_of_the_package_is_an_arcly_error() -> None:
    errors = ("EnvelopeError", "EventRefused", "InvalidPayload", "PayloadMismatch", "Refused")
    root = arcly_channels.ArclyError
    assert all(issubclass(getattr(arcly_channels, name), root) for name in errors)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Gateway'"):
        _ = arcly_channels.Gateway  # type: ignore[attr-defined]


def test_public_names_are_listed_before_they_are_imported() -> None:
    assert set(arcly_channels.__all__) <= set(dir(arcly_channels))
