"""Turning a client away, so that a browser can tell why."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from typing import Any

from arcly_channels.close_codes import label, shortened
from arcly_channels.exceptions import NoPlace, Refused
from arcly_channels.fork import runs_again_in_children
from arcly_channels.identity.handshake import TOKEN_SUBPROTOCOL
from arcly_channels.transports.base import Send
from arcly_channels.transports.select import send_close
from arcly_channels.wire.protocol import SUBPROTOCOL, bye_frame


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


def chosen_subprotocol(scope: Mapping[str, Any]) -> str | None:
    """Return the subprotocol to accept a client with that offers one of ours; never a token."""
    offered = scope.get("subprotocols", ())
    return next((each for each in (SUBPROTOCOL, TOKEN_SUBPROTOCOL) if each in offered), None)


_PLAIN = [(b"content-type", b"text/plain; charset=utf-8")]
