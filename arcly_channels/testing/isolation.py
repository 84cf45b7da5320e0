"""Channel layers that are one test's own."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from asgiref.sync import async_to_sync
from channels import DEFAULT_CHANNEL_LAYER
from channels.layers import channel_layers
from django.utils.module_loading import import_string

from arcly_channels.layers import LocalChannelLayer
from arcly_channels.layers.base import GatewayLayer

_OPTIONS = frozenset(inspect.signature(LocalChannelLayer).parameters)


@contextmanager
def isolated_layers() -> Iterator[LocalChannelLayer]:
    """Give the project layers of its own inside the block, with nobody in them yet.

    Each layer of `CHANNEL_LAYERS` that gateways can be in is replaced by a `LocalChannelLayer` with
    the same options, so no test needs a server for its layer. Where there is no default layer,
    there is one. It is what the block is given.
    """
    before = channel_layers.backends
    channel_layers.backends = {}
    try:
        for alias, config in channel_layers.configs.items():
            if issubclass(import_string(config["BACKEND"]), GatewayLayer):
                channel_layers.set(alias, _local(config.get("CONFIG", {})))
        if DEFAULT_CHANNEL_LAYER not in channel_layers.configs:
            channel_layers.set(DEFAULT_CHANNEL_LAYER, LocalChannelLayer())
        yield channel_layers[DEFAULT_CHANNEL_LAYER]
    finally:
        ours = [each for each in channel_layers.backends.values() if isinstance(each, GatewayLayer)]
        channel_layers.backends = before
        for layer in ours:
            async_to_sync(layer.close)()


def _local(options: dict[str, Any]) -> LocalChannelLayer:
    return LocalChannelLayer(**{key: options[key] for key in _OPTIONS.intersection(options)})
