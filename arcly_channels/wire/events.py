"""Events as Channels messages: `{"type": "gateway.event", "event": …, "data": …}`."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from arcly_channels.conf.settings import get_settings
from arcly_channels.wire import envelope
from arcly_channels.wire.envelope import Frame, Ref

EVENT = "gateway.event"

_django_default = DjangoJSONEncoder().default


def _default(value: Any) -> Any:
    """Write what Django's encoder writes, and claims, which are read-only mappings."""
    return dict(value) if isinstance(value, MappingProxyType) else _django_default(value)


def encode_event(event: str, data: Any, *, ref: Ref = None) -> Frame:
    """Encode an envelope, with Django's usual values written as `DjangoJSONEncoder` does.

    Model instances and querysets are refused: raises `EnvelopeError` naming the value. It does so
    too for a frame of more than `MAX_FRAME_BYTES`, which bounds what waits for a slow client.
    """
    max_bytes = get_settings().MAX_FRAME_BYTES
    return envelope.encode(event, data, default=_default, ref=ref, max_bytes=max_bytes)


def frame_of(message: dict[str, Any]) -> Frame | None:
    """Return the frame that a message stands for, or None when it is any other message."""
    if message.get("type") != EVENT:
        return None
    return encode_event(message.get("event", ""), message.get("data"))
