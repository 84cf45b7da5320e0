"""The words of the protocol `arcly.v1`, and the frames that this side sends of its own accord."""

from __future__ import annotations

from arcly_channels.close_codes import CloseCode
from arcly_channels.wire.envelope import Frame, Ref, encode

SUBPROTOCOL = "arcly.v1"
"""What a client offers that understands `gateway:bye`."""

# Events

ERROR = "error"
BYE = "gateway:bye"
REFRESH = "auth.refresh"
REFRESHED = "auth.refreshed"

# The codes of errors

MALFORMED = "malformed"
UNKNOWN_EVENT = "unknown_event"
FORBIDDEN = "forbidden"
UNAUTHENTICATED = "unauthenticated"
INVALID_ROOM = "invalid_room"
TOO_MANY_ROOMS = "too_many_rooms"
INTERNAL = "internal"

MAX_TEXT = 4096
"""How many characters an error's code, its message and a reason may have; the rest is cut."""


def error_frame(code: object, message: object, ref: Ref = None) -> Frame:
    """Make the reply to a frame that could not be obeyed; it cannot fail, whatever is said in it.

    `ref` is that of an `Event` or a `MalformedFrame`, which were looked at.
    """
    return encode(ERROR, {"code": _text(code), "message": _text(message)}, ref=ref)


def bye_frame(code: int, reason: str) -> Frame:
    """Make the farewell of a close with `code`, which says how to reconnect; it cannot fail."""
    known = {int(each): each.reconnect for each in CloseCode}
    bye = {"code": int(code), "reason": _text(reason), "reconnect": known.get(code, "no")}
    return encode(BYE, bye)


def _text(value: object) -> str:
    """Return a value as a short string that JSON can write: without lone surrogates."""
    return str(value)[:MAX_TEXT].encode(errors="replace").decode()
