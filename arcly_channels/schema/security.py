"""How a client says who it is, where it comes in, by the settings and the middleware on the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from channels.auth import AuthMiddleware
from channels.security.websocket import OriginValidator
from django.conf import settings as django_settings

from arcly_channels.conf.settings import get_settings
from arcly_channels.gateway.routed import Schema
from arcly_channels.identity.handshake import TOKEN_PARAMETER, TOKEN_SUBPROTOCOL
from arcly_channels.identity.middleware import ClaimsMiddleware, TenantMiddleware
from arcly_channels.identity.origin import SameHostOriginValidator
from arcly_channels.schema.surface import Entrance
from arcly_channels.wire.protocol import SUBPROTOCOL

Schemes = dict[str, dict[str, Any]]

_TEXT: Schema = {"type": "string"}


def schemes_of(entrance: Entrance) -> Schemes:
    """Return the security schemes that count at an entrance, by their names."""
    behind, settings = entrance.routed.behind, get_settings()
    asks_claims = _has(behind, ClaimsMiddleware)
    found: Schemes = {}
    if asks_claims and settings.JWT is not None:
        found |= _of_tokens(settings.JWT.cookie, in_query=settings.QUERY_TOKENS)
    if _has(behind, AuthMiddleware) or (asks_claims and settings.CLAIMS_FROM_USER):
        found["session"] = {
            "type": "httpApiKey",
            "in": "cookie",
            "name": django_settings.SESSION_COOKIE_NAME,
            "description": "The session of a user who is logged in.",
        }
    return found


def takes_tokens(entrance: Entrance) -> bool:
    """Return whether a token is believed at an entrance, so that a client may bring a fresh one."""
    return _has(entrance.routed.behind, ClaimsMiddleware) and get_settings().JWT is not None


def handshake_of(entrance: Entrance) -> dict[str, Any]:
    """Return the binding for WebSockets: what the request has in its headers and its query."""
    behind = entrance.routed.behind
    offered = f"`{SUBPROTOCOL}`, for requests, rooms and what the server says of itself."
    headers: dict[str, Schema] = {}
    query: dict[str, Schema] = {}
    if takes_tokens(entrance):
        offered += f" With a token: `{SUBPROTOCOL}, {TOKEN_SUBPROTOCOL}, <token>`."
        if get_settings().QUERY_TOKENS:
            query[TOKEN_PARAMETER] = {**_TEXT, "description": "A token; proxies log it."}
    headers["Sec-WebSocket-Protocol"] = {**_TEXT, "description": offered}
    required = []
    if _has(behind, (OriginValidator, SameHostOriginValidator)):
        headers["Origin"] = {**_TEXT, "description": "That of a page which may connect."}
        required = ["Origin"]
    strategy = get_settings().TENANT_STRATEGY
    if _has(behind, TenantMiddleware) and isinstance(strategy, Mapping) and "HEADER" in strategy:
        headers[strategy["HEADER"]] = {**_TEXT, "description": "The id of the tenant."}
    return {"method": "GET", "headers": _object(headers, required)} | (
        {"query": _object(query, [])} if query else {}
    )


def _of_tokens(cookie: str | None, *, in_query: bool) -> Schemes:
    found: Schemes = {
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "JWT",
            "description": "A token in the header `Authorization`.",
        },
        "subprotocol": {
            "type": "httpApiKey",
            "in": "header",
            "name": "Sec-WebSocket-Protocol",
            "description": f"A token behind `{TOKEN_SUBPROTOCOL}` among the subprotocols, for "
            "browsers.",
        },
    }
    if cookie is not None:
        found["cookie"] = {
            "type": "httpApiKey",
            "in": "cookie",
            "name": cookie,
            "description": "A token in a cookie that the server has signed.",
        }
    if in_query:
        found["query"] = {
            "type": "httpApiKey",
            "in": "query",
            "name": TOKEN_PARAMETER,
            "description": "A token in the address, which proxies and servers log.",
        }
    return found


def _object(properties: dict[str, Schema], required: list[str]) -> Schema:
    made: Schema = {"type": "object", "properties": properties}
    return made | ({"required": required} if required else {})


def _has(behind: tuple[object, ...], kinds: Any) -> bool:
    return any(isinstance(each, kinds) for each in behind)
