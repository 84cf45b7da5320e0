"""Turning a client away, so that a browser can tell why."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any

from arcly_channels.close_codes import CloseCode, label, shortened
from arcly_channels.exceptions import HandshakeTimedOut, NoPlace, Refused, ServerEnds
from arcly_channels.fork import runs_again_in_children
from arcly_channels.identity.handshake import TOKEN_SUBPROTOCOL
from arcly_channels.transports.base import Send
from arcly_channels.transports.select import send_close
from arcly_channels.wire.protocol import SUBPROTOCOL, advice, bye_frame, delay, retry_field

Headers = list[tuple[bytes, bytes]]


class Refusals:
    """How many clients were refused, by code; of this process, whatever the layer."""

    @runs_again_in_children
    def __init__(self) -> None:
        self.numbers: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, code: int) -> None:
        with self._lock:
            self.numbers[label(code)] += 1


refusals = Refusals()


async def refuse(scope: Mapping[str, Any], send: Send, refusal: Refused, spread: int = 0) -> None:
    """Answer a request that is refused: with status 403, before there is a socket.

    A browser shows a page no such status. So a WebSocket client that offers `arcly.v1` is accepted
    with it, gets one `gateway:bye` that says why, and is closed with the refusal's code; unless
    there is no place for one more. `spread` is for that bye.
    """
    refusals.add(refusal.code)
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 403, "headers": _PLAIN})
        await send({"type": "http.response.body", "body": refusal.reason.encode()})
        return
    is_told = SUBPROTOCOL in scope.get("subprotocols", ())
    if is_told and not isinstance(refusal, NoPlace):
        await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL})
        bye = bye_frame(refusal.code, refusal.reason, spread)
        await send({"type": "websocket.send", "text": bye.text})
        if send_close(scope, send, refusal.code, refusal.reason):
            return
    # Autobahn, which Daphne is built on, takes a plain int and no subclass.
    code = int(refusal.code)
    await send({"type": "websocket.close", "code": code, "reason": shortened(refusal.reason)})


async def refuse_stream(send: Send, refusal: Refused, spread: int, *, was_here: bool) -> None:
    """Answer the request for an event stream that is refused.

    The status is for programs; the body is the `gateway:bye` that a stream would have ended with.
    Browsers give up at any status, and show the page none. So who `was_here`, and has come back by
    itself, gets nothing but the time of its next attempt, if there is to be one.
    """
    refusals.add(refusal.code)
    advised = advice(refusal.code, spread)
    status = _status(refusal)
    if was_here and status in PASSING:
        await respond(send, 200, retry_field(advised) + b"\n", EVENT_STREAM)
        return
    headers = [(b"www-authenticate", b"Bearer")] if status == 401 else []
    if status in PASSING:
        headers.append((b"retry-after", b"%d" % math.ceil(delay(advised) / 1000)))
    bye = bye_frame(refusal.code, refusal.reason, spread)
    await respond(send, status, bye.payload, [*_JSON, *headers])


async def respond(send: Send, status: int, body: bytes, headers: Headers) -> None:
    """Send a response that has an end."""
    length = [] if status == 204 else [(b"content-length", b"%d" % len(body))]
    start = {"type": "http.response.start", "status": status, "headers": [*headers, *length]}
    await send(start)
    await send({"type": "http.response.body", "body": body})


def _status(refusal: Refused) -> int:
    """Return the status of HTTP that comes closest to a refusal."""
    if isinstance(refusal, (HandshakeTimedOut, NoPlace, ServerEnds)):
        return 503
    return _STATUSES.get(refusal.code, 403)


def chosen_subprotocol(scope: Mapping[str, Any]) -> str | None:
    """Return the subprotocol to accept a client with that offers one of ours; never a token."""
    offered = scope.get("subprotocols", ())
    return next((each for each in (SUBPROTOCOL, TOKEN_SUBPROTOCOL) if each in offered), None)


_PLAIN = [(b"content-type", b"text/plain; charset=utf-8")]
_JSON = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
EVENT_STREAM = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
_STATUSES: dict[int, int] = {
    CloseCode.UNAUTHENTICATED: 401,
    CloseCode.TOO_MANY_CONNECTIONS: 429,
    CloseCode.RATE_LIMITED: 429,
}
PASSING = (429, 503)
"""The statuses after which it is of use to come back."""
