"""The connection registry, by the name under which it is known: see `fanout.connections`."""

from arcly_channels.fanout.connections import ConnectionRegistry

__all__ = ["ConnectionRegistry"]
