"""Channel layers: name one as BACKEND in CHANNEL_LAYERS, for one process or for several."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from arcly_channels.layers.local import LocalChannelLayer

if TYPE_CHECKING:
    from arcly_channels.layers.redis import RedisChannelLayer

__all__ = ["LocalChannelLayer", "RedisChannelLayer"]


def __getattr__(name: str) -> Any:
    """Import the layer over Redis when it is asked for: it needs more than the package does."""
    if name != "RedisChannelLayer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from arcly_channels.layers.redis import RedisChannelLayer
    except ModuleNotFoundError as error:
        needed = (
            "RedisChannelLayer needs redis[hiredis] and msgpack, the extra `redis` of this package"
        )
        raise ImportError(f"{needed}: {error}") from error
    return RedisChannelLayer
