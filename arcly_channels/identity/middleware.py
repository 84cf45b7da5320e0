"""The middleware that says who a request is from: for ASGI, and the same for Django's views."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from channels.db import database_sync_to_async
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.http import HttpRequest, HttpResponseBase

from arcly_channels.close_codes import CloseCode
from arcly_channels.exceptions import Refused
from arcly_channels.identity.claims import Claims
from arcly_channels.identity.handshake import Handshake, find_token, without_token
from arcly_channels.identity.refusal import refuse
from arcly_channels.identity.strategies import get_strategy
from arcly_channels.identity.tenancy import Tenant, get_tenants, is_mismatched
from arcly_channels.identity.users import aclaims_from, claims_from, get_claims_of_user
from arcly_channels.identity.verifier import get_verifier
from arcly_channels.transports.base import Send

Scope = dict[str, Any]
App = Callable[[Scope, Any, Send], Awaitable[Any]]

MISMATCH = "the token is for another tenant"


def IdentityMiddlewareStack(inner: App) -> App:  # noqa: N802  # Named as Channels names its stacks.
    """Put claims and tenant into the scope of `inner`; see the two classes for what they do."""
    return ClaimsMiddleware(TenantMiddleware(inner))


class ClaimsMiddleware:
    """Sets `scope["claims"]`: the claims of the token that is believed, or None.

    Works on the types `websocket` and `http`, and passes others on. Nothing that a client sends
    makes it fail. Inside, the query string and the subprotocols of a WebSocket hold no token.
    """

    def __init__(self, inner: App) -> None:
        self.inner = inner

    async def __call__(self, scope: Scope, receive: Any, send: Send) -> Any:
        if scope["type"] in ("websocket", "http"):
            claims = await self._claims(scope)
            is_websocket = scope["type"] == "websocket" and get_verifier() is not None
            scope = {**(without_token(scope) if is_websocket else scope), "claims": claims}
        return await self.inner(scope, receive, send)

    async def _claims(self, scope: Scope) -> Claims | None:
        has_token, claims = _claims_of_token(Handshake.of_scope(scope))
        make = get_claims_of_user()
        if has_token or make is None:
            return claims
        if "user" not in scope and scope["type"] == "websocket":
            raise ImproperlyConfigured(
                "CLAIMS_FROM_USER needs the user in the scope: write "
                "AuthMiddlewareStack(IdentityMiddlewareStack(…))"
            )
        return await aclaims_from(scope.get("user"), make)


class TenantMiddleware:
    """Sets `scope["tenant"]`: the tenant that the request is for, or None.

    Goes inside `ClaimsMiddleware`. A request whose token is for another tenant than the resolved
    one ends here: HTTP with status 403, a WebSocket as `refuse` says, with 4403. Without a
    strategy in the settings there is no tenancy, and the tenant is None.
    """

    def __init__(self, inner: App) -> None:
        self.inner = inner

    async def __call__(self, scope: Scope, receive: Any, send: Send) -> Any:
        if scope["type"] not in ("websocket", "http"):
            return await self.inner(scope, receive, send)
        strategy, tenant, claims = get_strategy(), None, scope.get("claims")
        if strategy is not None:
            tenants = get_tenants()
            await tenants.arefresh()
            tenant = tenants.resolve(strategy(Handshake.of_scope(scope), claims))
            if is_mismatched(claims, tenant):
                await refuse(scope, send, Refused(CloseCode.FORBIDDEN, MISMATCH))
                return None
        return await self.inner({**scope, "tenant": tenant}, receive, send)


class HttpIdentityMiddleware:
    """Django middleware that sets `request.claims` and `request.tenant` by the same rules.

    Goes after `AuthenticationMiddleware`, where there is one. A token for another tenant than the
    resolved one gets status 403. Works for sync and async views alike.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._acall(request)
        handshake = Handshake.of_request(request)
        has_token, claims = _claims_of_token(handshake)
        make = get_claims_of_user()
        if not has_token and make is not None:
            claims = claims_from(getattr(request, "user", None), make)
        if get_strategy() is not None:
            get_tenants().refresh()
        _set_identity(request, handshake, claims)
        response: HttpResponseBase = self.get_response(request)
        return response

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        handshake = Handshake.of_request(request)
        has_token, claims = _claims_of_token(handshake)
        make = get_claims_of_user()
        if not has_token and make is not None:
            claims = await aclaims_from(await _user(request), make)
        if get_strategy() is not None:
            await get_tenants().arefresh()
        _set_identity(request, handshake, claims)
        response: HttpResponseBase = await self.get_response(request)
        return response


async def _user(request: HttpRequest) -> Any:
    """Return the user of a request to an async view."""
    if hasattr(request, "auser"):
        return await request.auser()
    user = getattr(request, "user", None)  # Before Django 5: it is loaded at the first look.
    await database_sync_to_async(bool)(user)
    return user


def _claims_of_token(handshake: Handshake) -> tuple[bool, Claims | None]:
    """Return whether the request has a token, believed or not, and the claims of one that is."""
    verifier = get_verifier()
    token = None if verifier is None else find_token(handshake, verifier.cookie)
    if verifier is None or token is None:
        return False, None
    return True, verifier.verify(token)


def _set_identity(request: HttpRequest, handshake: Handshake, claims: Claims | None) -> None:
    strategy = get_strategy()
    tenant: Tenant | None = None
    if strategy is not None:
        tenant = get_tenants().resolve(strategy(handshake, claims))
        if is_mismatched(claims, tenant):
            raise PermissionDenied(MISMATCH)
    request.claims = claims  # type: ignore[attr-defined]
    request.tenant = tenant  # type: ignore[attr-defined]
