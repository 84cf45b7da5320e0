"""Turning a client away, so that a browser can tell why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arcly_channels.close_codes import CloseCode, shortened
from arcly_channels.exceptions import Refused
from arcly_channels.identity.handshake import TOKEN_SUBPROTOCOL
from arcly_channels.transports.base import Send
from arcly_channels.wire.protocol import SUBPROTOCOL, bye_frame


async def refuse(scope: Mapping[str, Any], send: Send, refusal: Refused) -> None:
    """Answer a request that is refused: with status 403, before there is a socket.

    A browser shows a page no such status. So a WebSocket client that offers `arcly.v1` is accepted
    with it, gets one `gateway:bye` that says why, and is closed with the refusal's code; unless
    there are too many connections, which one more would not help.
    """
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 403, "headers": _PLAIN})
        await send({"type": "http.response.body", "body": refusal.reason.encode()})
        return
    is_told = SUBPROTOCOL in scope.get("subprotocols", ())
    if is_told and refusal.code != CloseCode.TOO_MANY_CONNECTIONS:
        await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL})
        await send({"type": "websocket.send", "text": bye_frame(refusal.code, refusal.reason).text})
    # Autobahn, which Daphne is built on, takes a plain int and no subclass.
    code = int(refusal.code)
    await send({"type": "websocket.close", "code": code, "reason": shortened(refusal.reason)})


def chosen_subprotocol(scope: Mapping[str, Any]) -> str | None:
    """Return the subprotocol to accept a client with that offers one of ours; never a token."""
    offered = scope.get("subprotocols", ())
    return next((each for each in (SUBPROTOCOL, TOKEN_SUBPROTOCOL) if each in offered), None)


_PLAIN = [(b"content-type", b"text/plain; charset=utf-8")]
