"""The middleware that says who a request is from: for ASGI, and the same for Django's views."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from channels.db import database_sync_to_async
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured, PermissionDenied

from arcly_channels.close_codes import CloseCode
from arcly_channels.conf.settings import get_settings
from arcly_channels.exceptions import Refused
from arcly_channels.identity.claims import Claims
from arcly_channels.identity.handshake import Handshake, find_token, without_token
from arcly_channels.identity.refusal import refuse
from arcly_channels.identity.strategies import get_strategy
from arcly_channels.identity.tenancy import Tenant, get_tenants, is_mismatched
from arcly_channels.identity.users import (
    ClaimsOfUser,
    aclaims_from,
    claims_from,
    get_claims_of_user,
)
from arcly_channels.identity.verifier import get_verifier
from arcly_channels.transports.base import Send

if TYPE_CHECKING:
    from django.http import HttpRequest, HttpResponse, HttpResponseBase

Scope = dict[str, Any]
App = Callable[[Scope, Any, Send], Awaitable[Any]]

MISMATCH = "the token is for another tenant"

IDENTIFIED_AT = "identified_at"
"""The key of a scope with the time, by `time.monotonic`, from which its identity may be revoked."""

OF_SESSIONS = "cookie"
"""The header by which Django knows its users."""


def IdentityMiddlewareStack(inner: App) -> App:  # noqa: N802  # Named as Channels names its stacks.
    """Put claims and tenant into the scope of `inner`.

    It is `ClaimsMiddleware(TenantMiddleware(inner))`.
    """
    return ClaimsMiddleware(TenantMiddleware(inner))


class ClaimsMiddleware:
    """Sets `scope["claims"]`: the claims of the token that is believed, or None.

    Works on the types `websocket` and `http`, and passes others on. Nothing that a client sends
    makes it fail. Inside, the scope of a WebSocket holds no token, neither in its URL nor in its
    headers, and `scope["identified_at"]`, by `time.monotonic()`, is from when on a gateway takes
    its client for made to go. The responses of HTTP vary on the headers that were looked at.
    """

    def __init__(self, inner: App) -> None:
        self.inner = inner

    async def __call__(self, scope: Scope, receive: Any, send: Send) -> Any:
        if scope["type"] in ("websocket", "http"):
            handshake = Handshake.of_scope(scope)
            started = time.monotonic()  # Before the token is judged and a user looked up.
            claims = await self._claims(scope, handshake)
            verifier = get_verifier()
            if verifier is not None and handshake.is_websocket:
                scope = without_token(scope, verifier.cookie)
            scope = {**scope, "claims": claims, IDENTIFIED_AT: started}
            send = _varying(send, handshake)
        return await self.inner(scope, receive, send)

    async def _claims(self, scope: Scope, handshake: Handshake) -> Claims | None:
        claims, make = _claims_of_token(handshake)
        if make is None:
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
            tenants, handshake = get_tenants(), Handshake.of_scope(scope)
            await tenants.arefresh()
            tenant = tenants.resolve(strategy(handshake, claims))
            send = _varying(send, handshake)
            if is_mismatched(claims, tenant):
                await refuse(scope, send, Refused(CloseCode.FORBIDDEN, MISMATCH))
                return None
        return await self.inner({**scope, "tenant": tenant}, receive, send)


class HttpIdentityMiddleware:
    """Django middleware that sets `request.claims` and `request.tenant` by the same rules.

    Goes after `AuthenticationMiddleware`, where there is one. A token for another tenant than the
    resolved one gets status 403. Works for sync and async views alike. Responses vary on the
    headers that were looked at, so that no cache gives what is one client's to another.
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
        claims, make = _claims_of_token(handshake)
        if make is not None:
            claims = claims_from(getattr(request, "user", None), make)
        if get_strategy() is not None:
            get_tenants().refresh()
        response: HttpResponseBase
        if _set_identity(request, handshake, claims):
            response = self.get_response(request)
        else:
            response = _forbidden(request)
        return _patched(response, handshake)

    async def _acall(self, request: HttpRequest) -> HttpResponseBase:
        handshake = Handshake.of_request(request)
        claims, make = _claims_of_token(handshake)
        if make is not None:
            claims = await aclaims_from(await _user(request), make)
        if get_strategy() is not None:
            await get_tenants().arefresh()
        response: HttpResponseBase
        if _set_identity(request, handshake, claims):
            response = await self.get_response(request)
        else:  # In a thread, as Django does it: the page of a refusal may be anything.
            response = await sync_to_async(_forbidden, thread_sensitive=False)(request)
        return _patched(response, handshake)


async def _user(request: HttpRequest) -> Any:
    """Return the user of a request to an async view."""
    if hasattr(request, "auser"):
        return await request.auser()
    user = getattr(request, "user", None)  # Before Django 5: it is loaded at the first look.
    await database_sync_to_async(bool)(user)
    return user


def _claims_of_token(handshake: Handshake) -> tuple[Claims | None, ClaimsOfUser | None]:
    """Return the claims of a token that is believed; where there is none, what asks the user."""
    verifier = get_verifier()
    if verifier is not None:
        in_query = get_settings().QUERY_TOKENS
        token = find_token(handshake, verifier.cookie, in_query=in_query)
        if token is not None:
            return verifier.verify(token), None
    make = get_claims_of_user()
    if make is not None:
        handshake.varies_on.add(OF_SESSIONS)
    return None, make


def _set_identity(request: HttpRequest, handshake: Handshake, claims: Claims | None) -> bool:
    """Say who a request is from; return False, and say nothing, where it is to be refused."""
    strategy = get_strategy()
    tenant: Tenant | None = None
    if strategy is not None:
        tenant = get_tenants().resolve(strategy(handshake, claims))
        if is_mismatched(claims, tenant):
            return False
    request.claims = claims  # type: ignore[attr-defined]
    request.tenant = tenant  # type: ignore[attr-defined]
    return True


def _forbidden(request: HttpRequest) -> HttpResponse:
    """Return the project's page for status 403. Raised, it would come by without its `Vary`."""
    error = PermissionDenied(MISMATCH)
    if not hasattr(settings, "ROOT_URLCONF"):
        raise error  # The middleware is called by hand, outside of a project with pages.
    from django.core.handlers.exception import response_for_exception

    return response_for_exception(request, error)


def _vary(handshake: Handshake) -> list[str]:
    return sorted(name.title() for name in handshake.varies_on)


def _patched(response: HttpResponseBase, handshake: Handshake) -> HttpResponseBase:
    if handshake.varies_on:
        from django.utils.cache import patch_vary_headers

        patch_vary_headers(response, _vary(handshake))
    return response


def _varying(send: Send, handshake: Handshake) -> Send:
    """Return a `send` that adds a line of `Vary` to the response of HTTP.

    That of a WebSocket stays as it is: a gateway finds its connection behind it.
    """
    if handshake.is_websocket or not handshake.varies_on:
        return send
    line = b"vary", ", ".join(_vary(handshake)).encode("latin-1")
    return _Varying(send, line).send


class _Varying:
    """Adds a line to the headers of a response.

    It keeps what it wraps under the name that Channels' session middleware has for it, so that an
    event stream finds its connection.
    """

    def __init__(self, send: Send, line: tuple[bytes, bytes]) -> None:
        self.real_send = send
        self._line = line

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), self._line]}
        await self.real_send(message)
