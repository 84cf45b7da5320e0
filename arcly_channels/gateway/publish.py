"""Events to clients from anywhere: views, signals, threads; with a relay, from any process.

The plain functions never wait in a running event loop; in a plain thread they wait while a burst is
ahead of clients that read, and until the relay has the event. The `a…` twins are for async code and
wait there instead. All raise `EnvelopeError`, `InvalidRoom`, what the relay raises where there is
one, or `ImproperlyConfigured` when the default layer is not ours.
"""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync

from arcly_channels.layers.base import GatewayLayer
from arcly_channels.layers.configured import gateway_layer
from arcly_channels.layers.processes import presence
from arcly_channels.rooms import TenantLike, group_name, lobby_name
from arcly_channels.wire.events import EVENT, encode_event


def broadcast(
    event: str, data: Any = None, *, tenant: TenantLike | None = None, all_tenants: bool = False
) -> None:
    """Send an event to every client of `tenant`.

    `tenant=None` reaches the clients that have none, which is everyone without tenancy;
    `all_tenants` reaches them all.
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
    """Send an event to every client in `room` of `tenant`.

    `namespace` is the `room_namespace` of the gateways that the room is of.
    """
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


def room_size(room: str, *, tenant: TenantLike | None = None, namespace: str | None = None) -> int:
    """Return how many clients are in `room` of `tenant`, in all processes.

    The others are asked; raises `RelayUnanswered` when one gives no answer within a second. The
    plain function is not for a running event loop, where it is a `RuntimeError`.
    """
    return async_to_sync(aroom_size)(room, tenant=tenant, namespace=namespace)


async def aroom_size(
    room: str, *, tenant: TenantLike | None = None, namespace: str | None = None
) -> int:
    """Do what `room_size` does, in async code."""
    return await gateway_layer().group_size(group_name(room, tenant, namespace=namespace))


def connection_count() -> int:
    """Return how many clients are connected, in all processes; asked as by `room_size`."""
    return async_to_sync(aconnection_count)()


async def aconnection_count() -> int:
    """Do what `connection_count` does, in async code."""
    return await gateway_layer().connection_count()


def _layer() -> GatewayLayer:
    layer = gateway_layer()
    if not layer.reaches_others:
        presence.published()
    return layer


def _message(event: str, data: Any) -> dict[str, Any]:
    return {"type": EVENT, "event": event, "data": data}
