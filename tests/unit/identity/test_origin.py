"""Which pages may open a socket: those of the very host that they open it at."""

from __future__ import annotations

from typing import Any

import pytest

from arcly_channels.identity import SameHostOriginValidator

HOST = "acme.example.com"


async def answer(*headers: tuple[str, str], scheme: str | None = "wss", **scope: Any) -> Any:
    """Return "passed", or the messages of the refusal."""
    sent: list[dict[str, Any]] = []

    async def application(scope: Any, receive: Any, send: Any) -> str:
        return "passed"

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    raw = [(name.lower().encode(), value.encode()) for name, value in headers]
    scope = {"type": "websocket", "headers": raw, **scope}
    if scheme is not None:
        scope["scheme"] = scheme
    return await SameHostOriginValidator(application)(scope, None, send) or sent


async def is_let_in(*headers: tuple[str, str], scheme: str | None = "wss") -> bool:
    return bool(await answer(*headers, scheme=scheme) == "passed")


@pytest.mark.parametrize(
    ("origin", "host", "scheme"),
    [
        ("https://acme.example.com", HOST, "wss"),
        ("http://acme.example.com", HOST, "ws"),
        ("http://acme.example.com", HOST, None),  # ASGI: without it, it is "ws".
        ("https://ACME.example.com", "acme.EXAMPLE.com", "wss"),
        ("https://acme.example.com", "acme.example.com:443", "wss"),
        ("https://acme.example.com:443", HOST, "wss"),
        ("http://acme.example.com", "acme.example.com:80", "ws"),
        ("http://localhost:8000", "localhost:8000", "ws"),
        ("http://[::1]:8000", "[::1]:8000", "ws"),
    ],
)
async def test_a_page_of_the_same_host_is_let_in(origin: str, host: str, scheme: Any) -> None:
    assert await is_let_in(("Host", host), ("Origin", origin), scheme=scheme)


@pytest.mark.parametrize(
    "origin",
    [
        "https://globex.example.com",
        "https://example.com",
        "https://www.acme.example.com",
        "https://acme.example.com.evil.org",
        "https://acme.example.com@evil.org",
        "https://evil.org",
        "http://acme.example.com",
        "https://acme.example.com:8443",
        "https://acme.example.com:80",
        "wss://acme.example.com",
        "https://acme.example.com/",
        "acme.example.com",
        "https://",
        "null",
        "",
        "\xff",
    ],
)
async def test_a_page_of_anything_else_is_refused(origin: str) -> None:
    assert not await is_let_in(("Host", HOST), ("Origin", origin))


@pytest.mark.parametrize(
    "headers",
    [
        [("Host", HOST)],
        [("Origin", "https://acme.example.com")],
        [("Host", ""), ("Origin", "https://")],
        [("Host", HOST), ("Origin", "https://acme.example.com"), ("Origin", "https://evil.org")],
        [],
    ],
)
async def test_whoever_does_not_say_both_is_refused(headers: Any) -> None:
    assert not await is_let_in(*headers)


@pytest.mark.parametrize(
    ("proto", "origin", "expected"),
    [
        ("https", "https://acme.example.com", True),
        ("https, http", "https://acme.example.com", True),
        ("https", "http://acme.example.com", False),
        ("http", "http://acme.example.com", True),
        (None, "http://acme.example.com", True),
    ],
)
async def test_the_scheme_is_what_a_trusted_proxy_says(
    settings: Any, proto: str | None, origin: str, expected: bool
) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    forwarded = [] if proto is None else [("X-Forwarded-Proto", proto)]
    headers = [("Host", HOST), ("Origin", origin), *forwarded]
    assert await is_let_in(*headers, scheme="ws") is expected


@pytest.mark.parametrize("is_trusted", [True, False])
async def test_the_host_is_what_a_trusted_proxy_says(settings: Any, is_trusted: bool) -> None:
    settings.USE_X_FORWARDED_HOST = is_trusted
    forwarded = ("X-Forwarded-Host", HOST)
    headers = [("Host", "inside:8000"), forwarded, ("Origin", "https://acme.example.com")]
    assert await is_let_in(*headers) is is_trusted


async def test_a_proxy_that_the_project_does_not_trust_says_nothing() -> None:
    headers = [("Host", HOST), ("Origin", "https://acme.example.com")]
    assert not await is_let_in(*headers, ("X-Forwarded-Proto", "https"), scheme="ws")


async def test_a_refused_page_gets_no_socket() -> None:
    (message,) = await answer(("Host", HOST), ("Origin", "https://evil.org"))
    assert (message["type"], message["code"]) == ("websocket.close", 4403)


async def test_other_requests_are_not_asked() -> None:
    assert await answer(scheme="https", type="http") == "passed"
