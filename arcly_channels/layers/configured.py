"""Closing the sockets of a group, in whichever of the project's layers its gateways are."""

from __future__ import annotations

from channels.layers import channel_layers, get_channel_layer

from arcly_channels.layers.local import LocalChannelLayer


def close_group_now(group: str, code: int, reason: str = "") -> int:
    """Close every gateway's socket in `group`, in all layers; return how many were asked to close.

    See `LocalChannelLayer.close_group_now`.
    """
    return sum(layer.close_group_now(group, code, reason) for layer in gateway_layers())


async def close_group(group: str, code: int, reason: str = "") -> int:
    """Do what `close_group_now` does, in async code."""
    return sum([await layer.close_group(group, code, reason) for layer in gateway_layers()])


def gateway_layers() -> list[LocalChannelLayer]:
    """Return the layers of `CHANNEL_LAYERS` that gateways can be in."""
    layers = [get_channel_layer(alias) for alias in channel_layers.configs]
    return [layer for layer in layers if isinstance(layer, LocalChannelLayer)]
