"""The words of the protocol, and the frames that this side sends of its own accord.

`docs/reference/protocol.md` describes it: the bare envelope, and what `arcly.v1` adds to it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from typing import Any

from arcly_channels.close_codes import CloseCode, Reconnect
from arcly_channels.exceptions import Detail
from arcly_channels.wire.envelope import Frame, Ref, encode

SUBPROTOCOL = "arcly.v1"
"""What a client offers that wants more than the bare envelope."""

# Events

ERROR = "error"
RESERVED = "gateway:"
"""What the names of the protocol's own events begin with, and no other's."""
WELCOME = "gateway:welcome"
REPLY = "gateway:reply"
JOIN = "gateway:join"
JOINED = "gateway:joined"
LEAVE = "gateway:leave"
LEFT = "gateway:left"
GAP = "gateway:gap"
PING = "gateway:ping"
PONG = "gateway:pong"
BYE = "gateway:bye"
REFRESH = "auth.refresh"
REFRESHED = "auth.refreshed"

# The codes of errors, and what the client sent

MALFORMED = "malformed"
"""Binary, or no JSON, or no object, or no string `event`, or another kind of `ref`; or more than 64
levels, or than 50,000 brackets."""
UNKNOWN_EVENT = "unknown_event"
"""An event that the gateway has no handler for."""
FORBIDDEN = "forbidden"
"""An event whose roles or permissions its claims do not have, or `auth.refresh` with a token that
will not do."""
UNAUTHENTICATED = "unauthenticated"
"""`auth.refresh` without a valid token."""
INVALID_ROOM = "invalid_room"
"""A room that is not a string of 1 to 200 characters and at most 400 bytes."""
TOO_MANY_ROOMS = "too_many_rooms"
"""To join a room beyond `MAX_ROOMS_PER_CONNECTION`."""
RATE_LIMITED = "rate_limited"
"""More events than `RATE_LIMIT` allows, or more of one than its handler's `rate` does.
`retry_after` says in how many seconds one more is welcome."""
TIMEOUT = "timeout"
"""An event whose handler took longer than its `timeout`, or could not begin in that time. What it
has done until then is done."""
INVALID_PAYLOAD = "invalid_payload"
"""Data that is not of the type that the handler is annotated with. `details` has the `path` and the
`message` of each fault."""
UNAVAILABLE = "unavailable"
"""Something that is for other processes of the server, too, which cannot be reached: nobody was
told, and it may be worth to try again."""
OUTCOME_UNKNOWN = "outcome_unknown"
"""The same, and nobody knows whether they were told: to try again may tell them twice."""
INTERNAL = "internal"
"""Something whose handler raised an exception. The log has the traceback, the client no details."""

ERRORS = frozenset(
    {
        *(MALFORMED, UNKNOWN_EVENT, FORBIDDEN, UNAUTHENTICATED, INVALID_ROOM, TOO_MANY_ROOMS),
        *(RATE_LIMITED, TIMEOUT, INVALID_PAYLOAD, UNAVAILABLE, OUTCOME_UNKNOWN, INTERNAL),
    }
)
"""All of these. Projects have codes of their own, which metrics count as one."""

MAX_TEXT = 4096
"""How many characters an error's code, its message and a reason may have; the rest is cut."""

SOONEST = 1000
"""Milliseconds after which the client of an event stream is told to come back, at least."""

REASONS: dict[int, str] = {
    CloseCode.INTERNAL_ERROR: "something failed on the server",
    CloseCode.SERVICE_RESTART: "the server restarts",
    CloseCode.SLOW_CONSUMER: "too much was waiting for this client",
    CloseCode.RESYNC: "messages may be missing",
    CloseCode.IDLE_TIMEOUT: "no sign of life",
    CloseCode.UNAUTHENTICATED: "not logged in, or no longer",
    CloseCode.FORBIDDEN: "not allowed",
}
"""What a bye says of closes for which nobody has given a reason; the close itself says nothing."""


def error_frame(
    code: object,
    message: object,
    ref: Ref = None,
    *,
    retry_after: float | None = None,
    details: Sequence[Detail] = (),
) -> Frame:
    """Make the reply to a frame that could not be obeyed; it cannot fail, whatever is said in it.

    `ref` is that of an `Event` or a `MalformedFrame`, which were looked at. `retry_after` is after
    how many seconds it is worth to try again, if it is. `details` say what is wrong with the data.
    """
    error: dict[str, Any] = {"code": _text(code), "message": _text(message)}
    if retry_after is not None:
        error["retry_after"] = round(retry_after, 3)
    if details:
        error["details"] = [
            {"path": _text(each["path"]), "message": _text(each["message"])} for each in details
        ]
    return encode(ERROR, error, ref=ref)


def advice(code: int, spread: int = 0) -> dict[str, Any]:
    """Return what a client is told about coming back after a close or a refusal with `code`.

    `spread` is that of codes which have none of their own, in milliseconds.
    """
    known = next((each for each in CloseCode if each == code), None)
    if known is None or known.reconnect is Reconnect.NO:
        return {"reconnect": Reconnect.NO}
    own = known.spread
    times = {"after": known.after, "spread": spread if own is None else own}
    return {"reconnect": known.reconnect, **times}


def delay(advice: dict[str, Any]) -> int:
    """Return after how many milliseconds one client is to come back, of all that are advised so.

    For those who come back as they are told, again and again: at least `SOONEST`.
    """
    share: float = advice["spread"] * random.random()  # noqa: S311  # No secret.
    return max(SOONEST, int(advice["after"] + share))


def bye_frame(code: int, reason: str, spread: int = 0) -> Frame:
    """Make the farewell of a close with `code`, which says how to reconnect; it cannot fail.

    `spread` is as for `advice`. As a server-sent event it says so in the terms of those, too.
    """
    advised = advice(code, spread)
    bye = {"code": int(code), "reason": _text(reason or REASONS.get(code, "")), **advised}
    is_over = advised["reconnect"] is Reconnect.NO
    return encode(BYE, bye, fields=b"id: bye\n" if is_over else retry_field(advised))


def retry_field(advised: dict[str, Any]) -> bytes:
    """Return the line of an event stream that says when to come back."""
    return b"retry: %d\n" % delay(advised)


def welcome_frame(
    id: str,
    *,
    ping: float,
    pong: bool,
    spread: int,
    exp: float | None,
    limits: dict[str, int],
) -> Frame:
    """Make the greeting of a connection, which tells the client what it has to know.

    `ping` is how many seconds pass between two pings, 0 if none comes, and `pong` whether they want
    an answer. `spread` is over how many milliseconds to come back where no bye has said it, and
    `exp` when the claims end, by the clock that `time` shows.
    """
    welcome: dict[str, Any] = {"id": id, "ping": ping, "pong": pong}
    welcome |= {"spread": spread, "time": time.time()}
    if exp is not None:
        welcome["exp"] = exp
    # Who comes back by itself tells by this that it was here before.
    fields = b"id: open\n" + retry_field({"after": 0, "spread": spread})
    return encode(WELCOME, welcome | {"limits": limits}, fields=fields)


def room_frame(event: str, room: str, ref: Ref = None) -> Frame:
    """Make the note that a client has joined or left a room."""
    return encode(event, {"room": room}, ref=ref)


def gap_frame(since: float, until: float) -> Frame:
    """Make the note that messages may be missing, of whatever room, sent between two times."""
    return encode(GAP, {"room": None, "since": since, "until": until})


class V1:
    """The dialect `arcly.v1`; `spread` returns over how many milliseconds clients come back."""

    ping = encode(PING, None)

    def __init__(self, spread: Callable[[], int]) -> None:
        self._spread = spread

    def bye(self, code: int, reason: str) -> Frame:
        """Make the last frame of a connection that is closed."""
        return bye_frame(code, reason, self._spread())


def _text(value: object) -> str:
    """Return a value as a short string that JSON can write: without lone surrogates."""
    return str(value)[:MAX_TEXT].encode(errors="replace").decode()
