"""Which pages may open a socket, where those of other subdomains may not."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from arcly_channels.close_codes import CloseCode
from arcly_channels.exceptions import Refused
from arcly_channels.identity.handshake import Handshake
from arcly_channels.identity.middleware import App, Scope
from arcly_channels.identity.refusal import refuse
from arcly_channels.transports.base import Send

FOREIGN = "the page is of another origin"

_PORTS = {"http": ":80", "https": ":443"}


class SameHostOriginValidator:
    """Lets in a WebSocket whose `Origin` is the host, port and scheme that it was opened at.

    Browsers send the cookies of a host with every socket to it, whatever page opens that. So each
    other page is refused with 4403, as is whoever sends no `Origin`: browsers always do (RFC 6455,
    section 10.2), other programs can. What a proxy says of scheme and host counts where Django's
    SECURE_PROXY_SSL_HEADER and USE_X_FORWARDED_HOST say so.

    It compares what the client says with what the client says. So keep Channels'
    `AllowedHostsOriginValidator` around it: a page can have its own name lead to your server.
    """

    def __init__(self, application: App) -> None:
        self.application = application

    async def __call__(self, scope: Scope, receive: Any, send: Send) -> Any:
        if scope["type"] == "websocket" and not _is_of_same_host(scope):
            await refuse(scope, send, Refused(CloseCode.FORBIDDEN, FOREIGN))
            return None
        return await self.application(scope, receive, send)


def _is_of_same_host(scope: Scope) -> bool:
    handshake = Handshake.of_scope(scope)
    scheme, host = _scheme(handshake, scope), _host(handshake)
    origin = handshake.headers.get("origin", "").lower()
    port = _PORTS[scheme]
    return host != "" and origin.removesuffix(port) == f"{scheme}://{host.removesuffix(port)}"


def _scheme(handshake: Handshake, scope: Scope) -> str:
    """Return the scheme of the page that is at this host, by the rules of `HttpRequest.scheme`."""
    is_secure = scope.get("scheme") in ("wss", "https")
    if settings.SECURE_PROXY_SSL_HEADER:
        header, secure_value = settings.SECURE_PROXY_SSL_HEADER
        said = handshake.headers.get(header.removeprefix("HTTP_").replace("_", "-").lower())
        if said is not None:
            is_secure = said.partition(",")[0].strip() == secure_value
    return "https" if is_secure else "http"


def _host(handshake: Handshake) -> str:
    forwarded = handshake.headers.get("x-forwarded-host") if settings.USE_X_FORWARDED_HOST else None
    return (forwarded or handshake.headers.get("host", "")).lower()
