"""For stacks whose middleware hides the server's `send` from a gateway."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from arcly_channels.transports.base import Receive, Send
from arcly_channels.transports.select import EXTENSION

Application = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]


class GatewayApplication:
    """Put this outermost in `asgi.py`: `application = GatewayApplication(application)`.

    It passes the server's `receive` and `send` down in the scope's `extensions`, and the addresses
    of the connection. It is needed only where middleware replaces `send` by a function of its own,
    or (on granian) changes `client` to what a proxy's headers say; a warning says so. What such
    middleware does to outgoing messages does not happen to a gateway's frames then.
    """

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] in ("websocket", "http"):
            ends = {name: scope[name] for name in ("client", "server") if name in scope}
            given = {EXTENSION: {"receive": receive, "send": send, "ends": ends}}
            scope = {**scope, "extensions": {**scope.get("extensions", {}), **given}}
        await self.application(scope, receive, send)
