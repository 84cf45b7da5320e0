"""What a cache is told: a page that depends on who asks, or for which tenant, is for them alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from asgiref.sync import async_to_sync
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.middleware.cache import FetchFromCacheMiddleware, UpdateCacheMiddleware
from django.test import AsyncRequestFactory, RequestFactory
from django.views.decorators.cache import cache_page
from django.views.decorators.vary import vary_on_headers

from arcly_channels.identity import HttpIdentityMiddleware, IdentityMiddlewareStack
from arcly_channels.identity.handshake import Handshake

SECRET = "s" * 32

Headers = dict[str, str]


def token(sub: str, **claims: Any) -> str:
    payload = {"sub": sub, "type": "access", "exp": time.time() + 3600, **claims}
    return jwt.encode(payload, SECRET, "HS256")


def bearer(sub: str, **claims: Any) -> Headers:
    return {"Authorization": f"Bearer {token(sub, **claims)}"}


def cookie(sub: str) -> Headers:
    response = HttpResponse()
    response.set_signed_cookie("access_token", token(sub))
    return {"Cookie": f"access_token={response.cookies['access_token'].coded_value}"}


def by_own_header(handshake: Handshake, claims: Any) -> str | None:
    return handshake.headers.get("x-own")


def in_any_header(handshake: Handshake, claims: Any) -> str | None:
    return next((value for value in handshake.headers.values() if value == "acme"), None)


class User:
    is_authenticated = True

    def __init__(self, name: str) -> None:
        self.name = name


@pytest.fixture(autouse=True)
def identity_settings(settings: Any) -> Any:
    settings.ALLOWED_HOSTS = ["*"]
    settings.ROOT_URLCONF = __name__
    settings.ARCLY_CHANNELS = {
        "JWT": {"KEYS": [SECRET]},
        "TENANTS": ["acme", "globex"],
        "TENANT_STRATEGY": {"HEADER": "X-Tenant"},
    }
    cache.clear()
    return settings


urlpatterns: list[Any] = []


def page(request: Any) -> HttpResponse:
    return HttpResponse(f"{request.claims and request.claims['sub']} at {request.tenant}")


async def async_page(request: Any) -> HttpResponse:
    return page(request)


def ask(headers: Headers, user: str = "") -> HttpResponse:
    """Answer a request as a project does whose pages are all cached."""
    request = prepared(RequestFactory().get("/"), headers, user)
    response = UpdateCacheMiddleware(HttpIdentityMiddleware(FetchFromCacheMiddleware(page)))(
        request
    )
    assert isinstance(response, HttpResponse)
    return response


def ask_async(headers: Headers, user: str = "") -> HttpResponse:
    async def answer() -> Any:
        inner: Any = FetchFromCacheMiddleware(async_page)
        outer: Any = UpdateCacheMiddleware(HttpIdentityMiddleware(inner))
        return await outer(prepared(AsyncRequestFactory().get("/"), headers, user))

    response = async_to_sync(answer)()
    assert isinstance(response, HttpResponse)
    return response


def prepared(request: HttpRequest, headers: Headers, user: str) -> HttpRequest:
    async def auser() -> Any:
        return request.user

    request.META.pop("HTTP_COOKIE", None)
    request.META.update({f"HTTP_{key.upper().replace('-', '_')}": headers[key] for key in headers})
    if user:
        request.user, request.auser = User(user), auser  # type: ignore[assignment]
    return request


BOTH_WAYS = pytest.mark.parametrize("ask", [ask, ask_async], ids=["sync", "async"])
Ask = Callable[..., HttpResponse]


@BOTH_WAYS
@pytest.mark.parametrize(
    ("one", "other"),
    [
        (bearer("ann"), bearer("bob")),
        (cookie("ann"), cookie("bob")),
        (bearer("ann"), cookie("bob")),
        (cookie("ann"), {}),
        ({"X-Tenant": "acme"}, {"X-Tenant": "globex"}),
        ({"X-Tenant": "acme"}, {}),
    ],
)
def test_a_page_of_one_is_not_given_to_another(ask: Ask, one: Headers, other: Headers) -> None:
    pages = [ask(each).content for each in (one, other, one, other)]
    assert pages[0] != pages[1]
    assert pages[:2] == pages[2:]


@BOTH_WAYS
def test_a_page_is_still_cached_for_whom_it_is(ask: Ask) -> None:
    headers = bearer("ann")
    assert not ask(headers).has_header("Age")
    assert ask(headers).has_header("Expires")


@BOTH_WAYS
def test_a_refusal_says_what_it_depends_on(ask: Ask) -> None:
    response = ask({**bearer("ann", tenant="globex"), "X-Tenant": "acme"})
    assert response.status_code == 403
    assert response["Vary"] == "Authorization, X-Tenant"


@BOTH_WAYS
def test_a_page_made_for_a_user_depends_on_the_cookie(identity_settings: Any, ask: Ask) -> None:
    async def make(user: Any) -> Any:
        return {"sub": user.name}

    identity_settings.ARCLY_CHANNELS = {"CLAIMS_FROM_USER": make}
    assert ask({}, "ann")["Vary"] == "Cookie"


@pytest.mark.parametrize(
    ("strategy", "vary"),
    [
        ({"HEADER": "X-Tenant"}, "X-Tenant"),
        # With USE_X_FORWARDED_HOST the URL by which Django caches has another host than this one.
        ({"SUBDOMAIN": "example.com"}, "Host"),
        ({"HEADER": "X-Tenant", "SUBDOMAIN": "example.com"}, "Host, X-Tenant"),
        (by_own_header, "X-Own"),
        (in_any_header, "*"),
    ],
)
def test_a_page_depends_on_what_the_strategy_looks_at(
    identity_settings: Any, strategy: Any, vary: str
) -> None:
    identity_settings.ARCLY_CHANNELS = {"TENANTS": ["acme"], "TENANT_STRATEGY": strategy}
    assert ask({})["Vary"] == vary


def test_a_page_depends_on_nothing_where_no_identity_is_looked_for(identity_settings: Any) -> None:
    identity_settings.ARCLY_CHANNELS = {}
    request: Any = RequestFactory().get("/", headers=bearer("ann"))
    response: Any = HttpIdentityMiddleware(page)(request)
    assert not response.has_header("Vary")


def test_a_page_that_its_view_caches_is_kept_apart_by_what_it_says_itself() -> None:
    varying = vary_on_headers("Authorization", "Cookie", "X-Tenant")
    answer = HttpIdentityMiddleware(cache_page(60)(varying(page)))
    ann, bob = (prepared(RequestFactory().get("/"), cookie(name), "") for name in ("ann", "bob"))
    pages: list[Any] = [answer(request) for request in (ann, bob, ann)]
    assert [each.content[:3] for each in pages] == [b"ann", b"bob", b"ann"]


# ASGI


async def sent(headers: Headers, *vary: tuple[bytes, bytes]) -> list[dict[str, Any]]:
    """Return what an ASGI application of HTTP sends through the stack."""
    messages: list[dict[str, Any]] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": list(vary)})
        await send({"type": "http.response.body", "body": b""})

    async def send(message: dict[str, Any]) -> None:
        messages.append(message)

    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await IdentityMiddlewareStack(application)({"type": "http", "headers": raw}, None, send)
    return messages


def varies_on(messages: list[dict[str, Any]]) -> list[str]:
    lines = [value.decode() for name, value in messages[0]["headers"] if name == b"vary"]
    return sorted(", ".join(lines).split(", "))


async def test_an_asgi_response_says_what_it_depends_on() -> None:
    messages = await sent(cookie("ann"), (b"vary", b"Accept"))
    assert varies_on(messages) == ["Accept", "Authorization", "Cookie", "X-Tenant"]
    assert messages[1] == {"type": "http.response.body", "body": b""}


async def test_an_asgi_refusal_says_what_it_depends_on() -> None:
    messages = await sent({**bearer("ann", tenant="globex"), "X-Tenant": "acme"})
    assert messages[0]["status"] == 403
    assert varies_on(messages) == ["Authorization", "X-Tenant"]


async def test_the_send_of_a_socket_stays_what_it_is() -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        passed.append(send)

    async def send(message: dict[str, Any]) -> None: ...

    passed: list[Any] = []
    await IdentityMiddlewareStack(application)({"type": "websocket", "headers": []}, None, send)
    assert passed == [send]
