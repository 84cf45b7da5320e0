"""The messages of a class of gateways: what clients send, the replies, and what it sends."""

from __future__ import annotations

from typing import Any

from arcly_channels.gateway.routed import Schema
from arcly_channels.schema import protocol
from arcly_channels.schema.surface import Call, Surface, key_of, summary_of
from arcly_channels.wire.protocol import REPLY, RESERVED

Part = dict[str, Any]
"""A part of a document of AsyncAPI."""

ANY_EVENT = "any"
"""The key of the message that stands for whatever a gateway sends that does not say it."""


class Messages:
    """The messages of one class, and under which key each is in a channel."""

    def __init__(self, surface: Surface) -> None:
        self._surface = surface
        self._taken: set[str] = set()
        self._keys: dict[tuple[str, str], str] = {}
        self.found: Part = {}
        for call in surface.calls:
            self._add("receive", call.event, _received(call))
            if call.reply:
                self._add("reply", call.event, _reply(call))
        for event, data in surface.sends.items():
            self._add("send", event, _sent(event, data))
        if not surface.sends:
            self._add("send", ANY_EVENT, _anything())

    def key(self, way: str, event: str) -> str:
        """Return the key of a message, in its channel."""
        return self._keys[way, event]

    def full(self, key: str) -> str:
        """Return the key of a message among all messages."""
        return f"{self._surface.name}.{key}"

    @property
    def sent(self) -> list[str]:
        return [key for (way, _), key in self._keys.items() if way == "send"]

    @property
    def keys(self) -> list[str]:
        return list(self._keys.values())

    def _add(self, way: str, event: str, message: Part) -> None:
        key = self._keys[way, event] = key_of(f"{way}.{event}", self._taken)
        self.found[self.full(key)] = message


def _received(call: Call) -> Part:
    payload = protocol.frame(call.event, call.data, has_ref=None, is_optional=call.is_optional)
    return _message(call.event, payload, call.text) | {"correlationId": protocol.CORRELATION}


def _reply(call: Call) -> Part:
    text = f"The answer to `{call.event}`."
    message = _message(REPLY, protocol.frame(REPLY, call.reply, has_ref=True), text)
    return message | {"correlationId": protocol.CORRELATION}


def _sent(event: str, data: Schema) -> Part:
    return _message(event, protocol.frame(event, data, may_have_room=True), "")


def _anything() -> Part:
    payload = {
        "type": "object",
        "properties": {
            "event": {**protocol.TEXT, "pattern": f"^(?!{RESERVED})"},
            "data": {},
            "room": protocol.ROOM,
        },
        "required": ["event", "data"],
    }
    return _message("event", payload, "Any event: this gateway does not say which it sends.")


def _message(name: str, payload: Schema, text: str) -> Part:
    return {"name": name, **said(text), "payload": payload}


def said(text: str) -> Part:
    """Return a text as a summary, and the whole of it where that is more."""
    summary = summary_of(text)
    if not summary:
        return {}
    return {"summary": summary} | ({"description": text} if text != summary else {})
