"""The layers of `CHANNEL_LAYERS` that gateways can be in, and what is done in all of them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from channels import DEFAULT_CHANNEL_LAYER
from channels.layers import channel_layers, get_channel_layer
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from arcly_channels.layers.base import GatewayLayer

HINT = 'set its BACKEND to "arcly_channels.layers.LocalChannelLayer", or to "….RedisChannelLayer"'


def gateway_layer(alias: str = DEFAULT_CHANNEL_LAYER) -> GatewayLayer:
    """Return the layer with this alias; raise `ImproperlyConfigured` if it is not one of ours."""
    layer = get_channel_layer(alias)
    if not isinstance(layer, GatewayLayer):
        found = "no channel layer" if layer is None else f"a {type(layer).__qualname__}"
        raise ImproperlyConfigured(
            f"gateways need a layer of arcly_channels, but "
            f'CHANNEL_LAYERS["{alias}"] is {found}: {HINT}'
        )
    return layer


def gateway_layers() -> list[GatewayLayer]:
    """Return the layers that gateways can be in."""
    layers = [get_channel_layer(alias) for alias in channel_layers.configs]
    return [layer for layer in layers if isinstance(layer, GatewayLayer)]


def make_layers() -> None:
    """Make the layers that gateways can be in, before there are threads that ask for them.

    Channels makes a layer when it is first asked for it, and so one for each thread that asks at
    that time: they would share neither channels nor connections.
    """
    for alias in channel_layers.configs:
        with suppress(Exception):  # `manage.py check` says what is wrong, and the first use does.
            backend = import_string(channel_layers.configs[alias]["BACKEND"])
            if issubclass(backend, GatewayLayer):
                get_channel_layer(alias)


def close_group_now(group: str, code: int, reason: str = "") -> int:
    """Close every gateway's socket in `group`, in all layers and processes.

    Returns how many in this process were asked to close.

    See `GatewayLayer.close_group_now`.
    """
    return sum(layer.close_group_now(group, code, reason) for layer in gateway_layers())


async def close_group(group: str, code: int, reason: str = "") -> int:
    """Do what `close_group_now` does, in async code."""
    return sum([await layer.close_group(group, code, reason) for layer in gateway_layers()])


def tell_all(topic: str, what: Any) -> None:
    """Tell the listeners in the other processes what is new about a topic; see `layers.news`."""
    for layer in gateway_layers():
        layer.tell_all(topic, what)
