"""Events as Channels messages: `{"type": "gateway.event", "event": …, "data": …}`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import MappingProxyType
from typing import Any

import orjson

from arcly_channels.conf.settings import get_settings
from arcly_channels.exceptions import EnvelopeError
from arcly_channels.wire import envelope
from arcly_channels.wire.envelope import Frame, Ref
from arcly_channels.wire.protocol import REPLY, RESERVED

Encode = Callable[..., Frame]
"""Encodes an event as `encode_event` does."""

EVENT = "gateway.event"
GAP_MESSAGE = "gateway.gap"
"""The type of what a layer tells its gateways when messages may be missing."""


@cache
def _django_default() -> Callable[[Any], Any]:
    """Return what Django's encoder does; the import brings the ORM, which not everybody needs."""
    from django.core.serializers.json import DjangoJSONEncoder

    return DjangoJSONEncoder().default


def _default(value: Any) -> Any:
    """Write what Django's encoder writes; claims, which are read-only mappings; and models."""
    if isinstance(value, MappingProxyType):
        return dict(value)
    if hasattr(type(value), "__pydantic_serializer__"):  # Of a model; pydantic need not be there.
        return orjson.Fragment(value.__pydantic_serializer__.to_json(value, by_alias=True))
    return _django_default()(value)


def encode_event(event: str, data: Any, *, room: str | None = None) -> Frame:
    """Encode an event, with Django's usual values written as `DjangoJSONEncoder` does.

    Models of pydantic write themselves, by alias. Those of Django are refused, as are querysets:
    raises `EnvelopeError` naming the value. It does so too for a frame of more than
    `MAX_FRAME_BYTES`, which bounds what waits for a slow client, and for a name that begins with
    `gateway:`, as only the protocol's own do.
    """
    if isinstance(event, str) and event.startswith(RESERVED):
        raise EnvelopeError("event", f"names that begin with {RESERVED} are the protocol's own")
    limit = get_settings().MAX_FRAME_BYTES
    return envelope.encode(event, data, default=_default, room=room, max_bytes=limit)


def encode_reply(data: Any, ref: Ref) -> Frame:
    """Encode what a handler has returned, under the same rules."""
    limit = get_settings().MAX_FRAME_BYTES
    return envelope.encode(REPLY, data, default=_default, ref=ref, max_bytes=limit)


def frame_of(message: dict[str, Any]) -> Frame | None:
    """Return the frame that a message stands for, or None when it is any other message."""
    if message.get("type") != EVENT:
        return None
    return encode_event(message.get("event", ""), message.get("data"))


def message_of(frame: Frame) -> dict[str, Any]:
    """Return the message that a frame stands for, as another process has it: with JSON's types."""
    envelope = orjson.loads(frame.payload)
    return {"type": EVENT, "event": envelope["event"], "data": envelope["data"]}
