"""The frames of the protocol itself, and of events, as messages of AsyncAPI.

`docs/reference/protocol.md` says in full what they mean.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from arcly_channels.close_codes import CloseCode
from arcly_channels.gateway.routed import Schema
from arcly_channels.rooms import MAX_ROOM_BYTES, MAX_ROOM_LENGTH
from arcly_channels.wire import protocol
from arcly_channels.wire.envelope import MAX_REF, MAX_REF_LENGTH
from arcly_channels.wire.protocol import REASONS

PREFIX = "gateway."
"""What the names of the protocol's own components begin with, and no other's."""

CORRELATION = {"$ref": "#/components/correlationIds/ref"}

TEXT, NUMBER, TRUTH = {"type": "string"}, {"type": "number"}, {"type": "boolean"}
WHOLE = {"type": "integer", "minimum": 0}


def _ref_to(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{PREFIX}{name}"}


REF, ROOM = _ref_to("Ref"), _ref_to("Room")
NULL: Schema = {"type": "null"}


def _object(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    properties = {**required, **(optional or {})}
    return {"type": "object", "properties": properties, "required": list(required)}


SCHEMAS: dict[str, Schema] = {
    "Ref": {
        "description": "The mark of a request, which comes back with the answer.",
        "oneOf": [
            {"type": "integer", "minimum": 0, "maximum": MAX_REF},
            {"type": "string", "maxLength": MAX_REF_LENGTH},
        ],
    },
    "Room": {"type": "string", "minLength": 1, "maxLength": MAX_ROOM_LENGTH},
    "Error": _object(
        {"code": TEXT, "message": TEXT},
        {
            "retry_after": {
                **NUMBER,
                "description": "After how many seconds it is worth to try again, if it is.",
            },
            "details": {
                "description": "What is wrong with the data, and where.",
                "type": "array",
                "items": _object({"path": TEXT, "message": TEXT}),
            },
        },
    ),
    "Welcome": _object(
        {
            "id": {**TEXT, "description": "The name of this connection, for logs."},
            "ping": {**NUMBER, "description": "Seconds between two pings; 0 if none comes."},
            "pong": {**TRUTH, "description": "Whether pings are to be answered."},
            "spread": {
                **WHOLE,
                "description": "Over how many milliseconds to come back where no bye has said it.",
            },
            "time": {**NUMBER, "description": "The clock of the server, in seconds since 1970."},
            "limits": {
                **_object({"frame": WHOLE, "rooms": WHOLE}),
                "description": "The bytes of the largest message that a client may send, and how "
                "many rooms it may be in; 0 is no limit.",
            },
        },
        {"exp": {**NUMBER, "description": "When the claims end, by that clock."}},
    ),
    "InRoom": _object({"room": ROOM}),
    "Gap": _object({"room": {"oneOf": [ROOM, NULL]}, "since": NUMBER, "until": NUMBER}),
    "Refresh": _object({"token": TEXT}),
    "Refreshed": _object({"exp": NUMBER}, {"time": NUMBER}),
    "Bye": _object(
        {
            "code": {"type": "integer", "description": "That of the close that follows."},
            "reason": TEXT,
            "reconnect": {"enum": ["no", "yes", "token"]},
        },
        {
            "after": {**WHOLE, "description": "Milliseconds until it is worth to come back."},
            "spread": {**WHOLE, "description": "Up to how many more, at random."},
        },
    ),
}


class Own(NamedTuple):
    """A message of the protocol."""

    event: str
    text: str
    data: Schema
    has_ref: bool | None = None
    """Whether it has a `ref`; None where it may have one."""


SENT: dict[str, Own] = {
    "welcome": Own(
        protocol.WELCOME, "The first frame of a connection.", _ref_to("Welcome"), has_ref=False
    ),
    "reply": Own(
        protocol.REPLY, "What a handler has returned; null is an acknowledgement.", {}, has_ref=True
    ),
    "acknowledgement": Own(
        protocol.REPLY, "That an event was handled, whose handler returns nothing.", NULL, True
    ),
    "error": Own(protocol.ERROR, "What was refused or failed, and why.", _ref_to("Error")),
    "joined": Own(
        protocol.JOINED,
        "The client is in a room: it has asked for that, if there is a `ref`, or was put there. "
        "Nothing of the room comes before.",
        _ref_to("InRoom"),
    ),
    "left": Own(
        protocol.LEFT, "The client is out of a room. Nothing of it comes after.", _ref_to("InRoom")
    ),
    "gap": Own(
        protocol.GAP,
        "Messages may be missing, of all rooms (`room` is null), from when until when in seconds "
        "since 1970. Only of servers of several processes.",
        _ref_to("Gap"),
        has_ref=False,
    ),
    "ping": Own(
        protocol.PING,
        "Asks for a sign of life, which is `gateway:pong` or any other frame.",
        NULL,
        has_ref=False,
    ),
    "refreshed": Own(
        protocol.REFRESHED, "The new claims are in force, until `exp`.", _ref_to("Refreshed")
    ),
    "bye": Own(
        protocol.BYE,
        "The last frame of a connection, which says whether and when to come back.",
        _ref_to("Bye"),
        has_ref=False,
    ),
}
"""What the server sends."""

TAKEN: dict[str, Own] = {
    "join": Own(protocol.JOIN, "Asks to be put into a room.", _ref_to("InRoom")),
    "leave": Own(
        protocol.LEAVE, "Leaves a room; it is no error not to be in it.", _ref_to("InRoom")
    ),
    "ping.client": Own(
        protocol.PING, "Asks for a sign of life of the server, if it has a `ref`.", {}
    ),
    "pong": Own(protocol.PONG, "A sign of life, never answered.", {}),
    "refresh": Own(
        protocol.REFRESH,
        "Goes on with a fresh token, of the same subject and tenant.",
        _ref_to("Refresh"),
    ),
}
"""What a client may send."""

ERRORS: dict[str, str] = {
    protocol.MALFORMED: "The frame is not an event.",
    protocol.UNKNOWN_EVENT: "Nobody here handles such an event.",
    protocol.INVALID_PAYLOAD: "The data is not of the type of the event; `details` say more.",
    protocol.INVALID_ROOM: f"A room is a string of 1 to {MAX_ROOM_LENGTH} characters and at most "
    f"{MAX_ROOM_BYTES} bytes.",
    protocol.TOO_MANY_ROOMS: "The client is in as many rooms as it may be.",
    protocol.FORBIDDEN: "The client may not do that.",
    protocol.UNAUTHENTICATED: "The new token was not accepted.",
    protocol.RATE_LIMITED: "Too many at once; `retry_after` says when to try again.",
    protocol.TIMEOUT: "It took too long, and may be done or not.",
    protocol.UNAVAILABLE: "Other processes of the server cannot be reached; nobody was told.",
    protocol.OUTCOME_UNKNOWN: "The same, and nobody knows whether they were told.",
    protocol.INTERNAL: "Something failed on the server.",
}
"""What the codes of errors mean. Gateways have codes of their own beside these."""


def schemas() -> dict[str, Schema]:
    """Return the schemas of the protocol's data, by their names in `components`."""
    return {PREFIX + name: schema for name, schema in SCHEMAS.items()}


def frame(
    event: str,
    data: Schema,
    *,
    has_ref: bool | None = False,
    is_optional: bool = False,
    may_have_room: bool = False,
) -> Schema:
    """Return the schema of a whole frame."""
    properties = {"event": {"const": event}, "data": data}
    if has_ref is not False:
        properties["ref"] = REF
    if may_have_room:
        properties["room"] = ROOM
    required = ["event"] if is_optional else ["event", "data"]
    return {
        "type": "object",
        "properties": properties,
        "required": [*required, "ref"] if has_ref else required,
    }


def messages() -> dict[str, Any]:
    """Return the messages of the protocol, by their names in `components`."""
    found = {PREFIX + name: _message(own, is_sent=True) for name, own in SENT.items()}
    return found | {PREFIX + name: _message(own, is_sent=False) for name, own in TAKEN.items()}


def close_codes() -> list[dict[str, Any]]:
    """Return why connections end, and what a client does then."""
    found: list[dict[str, Any]] = []
    for code in CloseCode:
        each = {"code": int(code), "name": code.name, "reconnect": str(code.reconnect.value)}
        if code in REASONS:
            each["reason"] = REASONS[code]
        if code.spread is not None:
            each |= {"after": code.after, "spread": code.spread}
        found.append(each)
    return found


def _message(own: Own, *, is_sent: bool) -> dict[str, Any]:
    is_optional = not is_sent and not own.data
    payload = frame(own.event, own.data, has_ref=own.has_ref, is_optional=is_optional)
    made: dict[str, Any] = {"name": own.event, "summary": own.text, "payload": payload}
    if own.has_ref is not False:
        made["correlationId"] = CORRELATION
    if own.event == protocol.ERROR:
        made["x-codes"] = dict(ERRORS)
    return made
