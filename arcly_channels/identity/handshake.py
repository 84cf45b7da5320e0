"""What a client says when it asks to come in, in one form for WebSocket, ASGI HTTP and Django."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import unquote_plus

from django.http import HttpRequest

TOKEN_PARAMETER = "access_token"  # noqa: S105  # The name, not a secret.
TOKEN_SUBPROTOCOL = "bearer"  # noqa: S105


@dataclasses.dataclass(frozen=True)
class Handshake:
    """The parts of a request that identity is read from. Its `repr` shows none of them.

    `headers` have lower-case names; one that came more than once has its values joined by commas,
    as Django does, so that no reader takes one of them for the only one (cookies by semicolons).
    """

    headers: Mapping[str, str] = dataclasses.field(repr=False)
    is_websocket: bool
    query_string: bytes = dataclasses.field(default=b"", repr=False)
    subprotocols: Sequence[str] = dataclasses.field(default=(), repr=False)

    @classmethod
    def of_scope(cls, scope: Mapping[str, Any]) -> Handshake:
        """Read the scope of an ASGI request, of type `websocket` or `http`."""
        headers: dict[str, str] = {}
        for raw_name, raw_value in scope.get("headers", ()):
            name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
            if name in headers:
                value = headers[name] + ("; " if name == "cookie" else ",") + value
            headers[name] = value
        return cls(
            headers=headers,
            is_websocket=scope["type"] == "websocket",
            query_string=bytes(scope.get("query_string", b"")),
            subprotocols=tuple(scope.get("subprotocols", ())),
        )

    @classmethod
    def of_request(cls, request: HttpRequest) -> Handshake:
        """Read a Django request."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        return cls(headers=headers, is_websocket=False)


def without_token(scope: Mapping[str, Any]) -> dict[str, Any]:
    """Return a copy of a WebSocket's scope whose query and subprotocols carry no token.

    Those two are what applications log, report and echo. `bearer` stays among the subprotocols: a
    browser that offered some wants one accepted.
    """
    pairs = bytes(scope.get("query_string", b"")).split(b"&")
    kept = [pair for pair in pairs if split_pair(pair)[0] != TOKEN_PARAMETER]
    offered = list(scope.get("subprotocols", ()))
    subprotocols = [
        each
        for index, each in enumerate(offered)
        if index == 0 or offered[index - 1] != TOKEN_SUBPROTOCOL
    ]
    return {**scope, "query_string": b"&".join(kept), "subprotocols": subprotocols}


def split_pair(pair: bytes) -> tuple[str, str]:
    """Return the name and the value of one pair of a query string."""
    name, _, value = pair.decode("latin-1").partition("=")
    return unquote_plus(name), unquote_plus(value)
