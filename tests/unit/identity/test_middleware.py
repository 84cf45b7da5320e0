"""Identity at the handshake: one table of requests, asked by WebSocket and by HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Any
from urllib.parse import quote

import jwt
import pytest
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.test import AsyncRequestFactory, RequestFactory

from arcly_channels.identity.handshake import UNUSABLE, Handshake, find_token
from arcly_channels.identity.middleware import HttpIdentityMiddleware, IdentityMiddlewareStack

SECRET = "s" * 32


def token(sub: str = "ann", *, key: str = SECRET, **claims: Any) -> str:
    payload = {"sub": sub, "type": "access", "exp": time.time() + 3600, **claims}
    return jwt.encode(payload, key, "HS256")


def cookie(value: str, name: str = "access_token") -> tuple[str, str]:
    response = HttpResponse()
    response.set_signed_cookie(name, value)
    return "Cookie", f"other=1; {name}={response.cookies[name].coded_value}"


def bearer(value: str) -> tuple[str, str]:
    return "Authorization", f"Bearer {value}"


def host(value: str) -> tuple[str, str]:
    return "Host", value


ANN, BOB, FORGED, EXPIRED = token(), token("bob"), token(key="o" * 32), token(exp=1)
ACME, GLOBEX = token(tenant="acme"), token(tenant="globex")
CLOSED, ODD = token(tenant="closed"), token(tenant=["acme"])
REFUSED = "refused"

Headers = tuple[tuple[str, str], ...]

# Headers, whose claims and which tenant are expected.
ROWS: list[tuple[str, Headers, str | None, str | None]] = [
    ("nothing", (), None, "main"),
    ("bearer", (bearer(ANN),), "ann", "main"),
    ("bearer in any case", (("authorization", f"bEARER   {ANN} "),), "ann", "main"),
    ("cookie", (cookie(ANN),), "ann", "main"),
    ("another scheme", (("Authorization", "Basic YTpi"),), None, "main"),
    ("another scheme and a cookie", (("Authorization", "Basic YTpi"), cookie(ANN)), "ann", "main"),
    ("forged", (bearer(FORGED),), None, "main"),
    ("expired", (bearer(EXPIRED),), None, "main"),
    ("truncated", (bearer(ANN[:-5]),), None, "main"),
    ("huge", (bearer(token(x="x" * 8192)),), None, "main"),
    ("wrong type", (bearer(token(type="refresh")),), None, "main"),
    ("no token after bearer", (("Authorization", "Bearer"),), None, "main"),
    ("two words after bearer", (("Authorization", f"Bearer {ANN} {ANN}"),), None, "main"),
    ("header with two values", (("Authorization", f"Bearer {ANN},Bearer {ANN}"),), None, "main"),
    ("header given twice", (bearer(ANN), bearer(BOB)), None, "main"),
    ("two schemes", (("Authorization", "Basic YTpi"), bearer(ANN)), None, "main"),
    ("two that disagree", (bearer(ANN), cookie(BOB)), "ann", "main"),
    ("a forged one and a good one", (bearer(FORGED), cookie(BOB)), None, "main"),
    ("cookie that is not signed", (("Cookie", f"access_token={ANN}"),), None, "main"),
    ("cookie of another name", (cookie(ANN, "session"),), None, "main"),
    ("cookie given twice", (cookie(ANN), cookie(BOB)), None, "main"),
    ("cookie of bytes", (("Cookie", "access_token=\xff\xfe;;=;"),), None, "main"),
    ("tenant", (host("acme.example.com"),), None, "acme"),
    ("tenant with port", (host("acme.example.com:8000"),), None, "acme"),
    ("tenant in upper case", (host("ACME.EXAMPLE.COM"),), None, "acme"),
    ("tenant with trailing dot", (host("acme.example.com."),), None, "acme"),
    ("IPv6", (host("[::1]:8000"),), None, "main"),
    ("unknown domain", (host("acme.evil.org"),), None, "main"),
    ("empty label", (host(".example.com"),), None, "main"),
    ("empty host", (host(""),), None, "main"),
    ("two hosts", (host("acme.example.com"), host("globex.example.com")), None, "main"),
    ("unknown tenant", (host("gone.example.com"),), None, "main"),
    ("suspended tenant", (host("closed.example.com"),), None, None),
    ("header before host", (("X-Tenant", "globex"), host("acme.example.com")), None, "globex"),
    ("header with two tenants", (("X-Tenant", "acme"), ("X-Tenant", "globex")), None, "main"),
    ("odd tenant in the header", (("X-Tenant", "é\x01"), host("acme.example.com")), None, "main"),
    ("token of the tenant", (bearer(ACME), host("acme.example.com")), "ann", "acme"),
    ("token of another tenant", (bearer(GLOBEX), host("acme.example.com")), REFUSED, None),
    ("token of a tenant, no tenant", (bearer(ACME),), REFUSED, None),
    ("token of a suspended tenant", (bearer(CLOSED), host("closed.example.com")), REFUSED, None),
    ("token with an odd tenant", (bearer(ODD), host("acme.example.com")), REFUSED, None),
]  # fmt: skip
TABLE = pytest.mark.parametrize(
    ("headers", "sub", "tenant"), [pytest.param(*row[1:], id=row[0]) for row in ROWS]
)

Answer = tuple[str | None, str | None]


@pytest.fixture(autouse=True)
def identity_settings(settings: Any) -> Any:
    settings.ALLOWED_HOSTS = ["*"]
    settings.ARCLY_CHANNELS = {
        "JWT": {"KEYS": [SECRET]},
        "TENANTS": ["main", "acme", "globex", {"id": "closed", "suspended": True}],
        "TENANT_STRATEGY": {"HEADER": "X-Tenant", "SUBDOMAIN": "example.com"},
        "TENANT_FALLBACK": "main",
    }
    return settings


def seen(claims: Any, tenant: Any) -> Answer:
    return claims and claims["sub"], tenant and tenant.id


async def ask_asgi(kind: str, headers: Headers = (), **scope: Any) -> tuple[Answer, dict[str, Any]]:
    """Return what the application inside the stack sees, or that it never sees the request."""
    inside: dict[str, Any] = {}
    sent: list[dict[str, Any]] = []

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        inside.update(scope)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    raw = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers]
    scope = {"type": kind, "headers": raw, "path": "/", "query_string": b"", **scope}
    await IdentityMiddlewareStack(application)(scope, None, send)
    if not inside:
        assert sent[0].get("status", sent[0].get("code")) in (403, 4403)
        return (REFUSED, None), inside
    assert not sent
    return seen(inside["claims"], inside["tenant"]), inside


@TABLE
@pytest.mark.parametrize("kind", ["websocket", "http"])
async def test_asgi(kind: str, headers: Headers, sub: str | None, tenant: str | None) -> None:
    answer, _ = await ask_asgi(kind, headers)
    assert answer == (sub, tenant)


def environ(headers: Headers) -> dict[str, str]:
    """Join what came twice as servers do."""
    joined: dict[str, str] = {}
    for name, value in headers:
        key = "HTTP_" + name.upper().replace("-", "_")
        joint = "; " if name == "Cookie" else ","
        joined[key] = joined[key] + joint + value if key in joined else value
    return joined


@TABLE
def test_django(headers: Headers, sub: str | None, tenant: str | None) -> None:
    def view(request: Any) -> HttpResponse:
        inside.append(seen(request.claims, request.tenant))
        return HttpResponse()

    inside: list[Answer] = []
    request = RequestFactory().get("/")
    request.META.pop("HTTP_COOKIE", None)
    request.META.update(environ(headers))
    with contextlib.suppress(PermissionDenied):
        HttpIdentityMiddleware(view)(request)
    assert (inside or [(REFUSED, None)]) == [(sub, tenant)]


@TABLE
async def test_async_django(headers: Headers, sub: str | None, tenant: str | None) -> None:
    async def view(request: Any) -> HttpResponse:
        inside.append(seen(request.claims, request.tenant))
        return HttpResponse()

    inside: list[Answer] = []
    request = AsyncRequestFactory().get("/")
    request.META.pop("HTTP_COOKIE", None)
    request.META.update(environ(headers))
    answer: Any = HttpIdentityMiddleware(view)(request)
    with contextlib.suppress(PermissionDenied):
        await answer
    assert (inside or [(REFUSED, None)]) == [(sub, tenant)]


# What only a WebSocket has


@pytest.mark.parametrize(
    ("query", "subprotocols", "sub"),
    [
        (f"access_token={ANN}", [], "ann"),
        (f"a=1&access%5Ftoken={quote(ANN, safe='')}&b=2", [], "ann"),
        (f"access_token={ANN}&access_token={ANN}", [], None),
        ("access_token=", [], None),
        ("access_token", [], None),
        ("", ["bearer", ANN], "ann"),
        ("", ["arcly.v1", "bearer", ANN], "ann"),
        ("", ["bearer", ANN, "bearer", BOB], None),
        ("", ["bearer", "bearer", ANN], None),
        ("", ["bearer"], None),
        ("", [ANN], None),
        (f"access_token={ANN}", ["bearer", BOB], "ann"),
        (f"access_token={FORGED}", ["bearer", BOB], None),
    ],
)
async def test_query_and_subprotocol(query: str, subprotocols: list[str], sub: str | None) -> None:
    raw = query.encode()
    answer, inside = await ask_asgi("websocket", query_string=raw, subprotocols=subprotocols)
    assert answer == (sub, "main")
    assert b"ey" not in inside["query_string"]
    assert not any("ey" in each for each in inside["subprotocols"][1:])


async def test_the_rest_of_the_query_stays_as_it_is() -> None:
    raw = b"a=%20&access_token=x&&b"
    _, inside = await ask_asgi(
        "websocket", query_string=raw, subprotocols=["a", "bearer", "t", "b"]
    )
    assert inside["query_string"] == b"a=%20&&b"
    assert inside["subprotocols"] == ["a", "bearer", "b"]


def header_of(scope: dict[str, Any], name: str) -> str | None:
    found = [value.decode("latin-1") for key, value in scope["headers"] if key == name.encode()]
    assert len(found) <= 1
    return found[0] if found else None


OTHER_COOKIES = "sessionid=abc; csrftoken=d=e"
TOKEN_COOKIE = cookie(ANN)[1].removeprefix("other=1; ")


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("authorization", f"Bearer {ANN}", None),
        ("authorization", f"bearer  {ANN}", None),
        ("authorization", "Basic YTpi", "Basic YTpi"),
        ("authorization", f"Basic YTpi, Bearer {ANN}", "Basic YTpi"),
        ("authorization", 'Digest username="a", realm="b"', 'Digest username="a", realm="b"'),
        ("cookie", f"{TOKEN_COOKIE}", None),
        ("cookie", f"{OTHER_COOKIES}; {TOKEN_COOKIE}", OTHER_COOKIES),
        ("cookie", f"{TOKEN_COOKIE};{TOKEN_COOKIE}; {OTHER_COOKIES}", OTHER_COOKIES),
        ("cookie", OTHER_COOKIES, OTHER_COOKIES),
        ("sec-websocket-protocol", f"bearer, {ANN}", "bearer"),
        ("sec-websocket-protocol", f"a,bearer,{ANN},b", "a,bearer,b"),
        ("sec-websocket-protocol", "a,b", "a,b"),
        ("user-agent", f"Bearer {ANN}", f"Bearer {ANN}"),
    ],
)
async def test_no_header_holds_a_token_inside(name: str, value: str, expected: str | None) -> None:
    offered = [each.strip() for each in value.split(",")] if name.startswith("sec") else []
    headers = (name, value), ("X-Other", "1")
    _, inside = await ask_asgi("websocket", headers, subprotocols=offered)
    assert header_of(inside, name) == expected
    assert header_of(inside, "x-other") == "1"


async def test_the_cookies_that_others_have_read_hold_no_token_inside() -> None:
    cookies = {"sessionid": "abc", "access_token": ANN}
    _, inside = await ask_asgi("websocket", cookies=cookies)
    assert inside["cookies"] == {"sessionid": "abc"}
    assert "access_token" in cookies


async def test_http_keeps_its_headers_for_the_middleware_of_django() -> None:
    _, inside = await ask_asgi("http", (bearer(ANN),))
    assert header_of(inside, "authorization") == f"Bearer {ANN}"


async def test_query_tokens_can_be_switched_off(identity_settings: Any) -> None:
    identity_settings.ARCLY_CHANNELS = {"JWT": {"KEYS": [SECRET]}, "QUERY_TOKENS": False}
    raw = f"a=1&access_token={ANN}".encode()
    answer, inside = await ask_asgi("websocket", query_string=raw)
    assert answer == (None, None)
    assert inside["query_string"] == b"a=1"
    answer, _ = await ask_asgi("websocket", query_string=raw, subprotocols=["bearer", BOB])
    assert answer == ("bob", None)


async def test_the_query_of_http_is_not_looked_at() -> None:
    raw = f"access_token={ANN}".encode()
    answer, inside = await ask_asgi("http", query_string=raw)
    assert answer == (None, "main")
    assert inside["query_string"] == raw


async def test_a_header_comes_before_the_query() -> None:
    answer, _ = await ask_asgi(
        "websocket", (bearer(ANN),), query_string=f"access_token={BOB}".encode()
    )
    assert answer[0] == "ann"


async def test_what_a_scope_brings_along_is_not_believed() -> None:
    answer, _ = await ask_asgi("websocket", claims={"sub": "root"}, tenant="acme")
    assert answer == (None, "main")


async def test_without_settings_there_is_no_identity(identity_settings: Any) -> None:
    identity_settings.ARCLY_CHANNELS = {}
    raw = f"access_token={ANN}".encode()
    answer, inside = await ask_asgi("websocket", (bearer(ACME),), query_string=raw)
    assert answer == (None, None)
    assert inside["query_string"] == raw


async def test_other_scopes_pass() -> None:
    passed = asyncio.Event()

    async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
        assert scope == {"type": "lifespan"}
        passed.set()

    await IdentityMiddlewareStack(application)({"type": "lifespan"}, None, None)  # type: ignore[arg-type]
    assert passed.is_set()


# Claims of a Django user


class User:
    is_authenticated = True
    pk = 7


class Nobody:
    is_authenticated = False


def claims_of_pk(user: Any) -> Any:
    return {"sub": str(user.pk)}


async def async_claims_of_pk(user: Any) -> Any:
    return {"sub": str(user.pk)}


@pytest.mark.parametrize("make", [claims_of_pk, async_claims_of_pk, f"{__name__}.claims_of_pk"])
async def test_a_user_without_a_token_has_claims(identity_settings: Any, make: Any) -> None:
    identity_settings.ARCLY_CHANNELS = {"CLAIMS_FROM_USER": make, "JWT": {"KEYS": [SECRET]}}
    assert (await ask_asgi("websocket", user=User()))[0] == ("7", None)
    assert (await ask_asgi("websocket", user=Nobody()))[0] == (None, None)
    assert (await ask_asgi("websocket", (bearer(ANN),), user=User()))[0] == ("ann", None)
    assert (await ask_asgi("websocket", (bearer(FORGED),), user=User()))[0] == (None, None)


@pytest.mark.parametrize("make", [claims_of_pk, async_claims_of_pk])
def test_a_user_of_a_django_request_has_claims(identity_settings: Any, make: Any) -> None:
    identity_settings.ARCLY_CHANNELS = {"CLAIMS_FROM_USER": make}
    request: Any = HttpRequest()
    request.user = User()
    HttpIdentityMiddleware(lambda request: HttpResponse())(request)
    assert request.claims == {"sub": "7"}


@pytest.mark.django_db
def test_the_usual_claims_of_a_user(identity_settings: Any, django_user_model: Any) -> None:
    from django.contrib.auth.models import Group

    identity_settings.ARCLY_CHANNELS = {"CLAIMS_FROM_USER": True}
    user = django_user_model.objects.create_user("ann", "ann@example.com")
    user.groups.add(Group.objects.create(name="staff"))
    request: Any = HttpRequest()
    request.user = user
    HttpIdentityMiddleware(lambda request: HttpResponse())(request)
    assert request.claims == {"sub": str(user.pk), "email": "ann@example.com", "groups": ("staff",)}


# Nothing of a token is told


async def test_no_token_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for _, headers, _, _ in ROWS:
        await ask_asgi("websocket", headers)
    text = caplog.text
    assert "is not believed" in text
    for each in (ANN, FORGED, EXPIRED, ACME, GLOBEX, SECRET):
        for part in each.split("."):
            assert part not in text


def test_many_cookies_of_the_name_cost_no_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    def sign(**options: Any) -> None:
        raise AssertionError("no cookie is worth it")

    monkeypatch.setattr("django.core.signing.get_cookie_signer", sign)
    handshake = Handshake({"cookie": ";".join(["access_token=a:b:c"] * 1000)}, is_websocket=True)
    assert find_token(handshake, "access_token") == UNUSABLE
