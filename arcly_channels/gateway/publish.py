"""Events to clients from anywhere in the server's process: views, signals, threads.

The plain functions never wait in a running event loop; in a plain thread they wait while a burst is
ahead of clients that read. The `a…` twins are for async code and wait there instead. All raise
`EnvelopeError`, `InvalidRoom`, or `ImproperlyConfigured` when the default layer is not ours.
"""

from __future__ import annotations

from typing import Any

from arcly_channels.layers.base import GatewayLayer
from arcly_channels.layers.configured import gateway_layer
from arcly_channels.layers.processes import presence
from arcly_channels.rooms import TenantLike, group_name, lobby_name
from arcly_channels.wire.events import EVENT, encode_event


def broadcast(
    event: str, data: Any = None, *, tenant: TenantLike | None = None, all_tenants: bool = False
) -> None:
    """Send an event to every client of `tenant`: without tenancy, to everyone.

    `tenant=None` reaches the clients that have none; `all_tenants` reaches them all.
    """
    group = None if all_tenants else lobby_name(tenant)
    _layer().publish_now(group, encode_event(event, data))


async def abroadcast(
    event: str, data: Any = None, *, tenant: TenantLike | None = None, all_tenants: bool = False
) -> None:
    """Do what `broadcast` does, in async code."""
    group = None if all_tenants else lobby_name(tenant)
    await _layer().publish(group, encode_event(event, data))


def broadcast_to_room(
    room: str,
    event: str,
    data: Any = None,
    *,
    tenant: TenantLike | None = None,
    namespace: str | None = None,
) -> None:
    """Send an event to every client in `room` of `tenant`; `namespace` is a `room_namespace`."""
    group = group_name(room, tenant, namespace=namespace)
    _layer().publish_now(group, encode_event(event, data, room=room))


async def abroadcast_to_room(
    room: str,
    event: str,
    data: Any = None,
    *,
    tenant: TenantLike | None = None,
    namespace: str | None = None,
) -> None:
    """Do what `broadcast_to_room` does, in async code."""
    group = group_name(room, tenant, namespace=namespace)
    await _layer().publish(group, encode_event(event, data, room=room))


def send_to(channel_name: str, event: str, data: Any = None) -> None:
    """Send an event to the client whose consumer has this `channel_name`."""
    _layer().send_now(channel_name, _message(event, data))


async def asend_to(channel_name: str, event: str, data: Any = None) -> None:
    """Do what `send_to` does, in async code."""
    await _layer().send(channel_name, _message(event, data))


def _layer() -> GatewayLayer:
    presence.published()
    return gateway_layer()


def _message(event: str, data: Any) -> dict[str, Any]:
    return {"type": EVENT, "event": event, "data": data}
