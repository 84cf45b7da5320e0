"""Channel layers: give `arcly_channels.layers.LocalChannelLayer` as BACKEND in CHANNEL_LAYERS."""

from arcly_channels.layers.local import LocalChannelLayer

__all__ = ["LocalChannelLayer"]
