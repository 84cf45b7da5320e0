"""The views about gateways: what they show, and to whom a page's scripts belong."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.management import call_command
from django.http import HttpResponse
from django.test import RequestFactory

from arcly_channels import GatewayConsumer, subscribe
from arcly_channels.schema import surface, views

TRICK = "<script>alert('hi')</script>"


class Tricky(GatewayConsumer):
    __doc__ = f"Says `{TRICK}` and {TRICK}."

    @subscribe(f'"{TRICK}')
    async def ask(self, data: Any) -> None:
        pass


tricky = Tricky.as_asgi()


@pytest.fixture(autouse=True)
def project(settings: Any) -> None:
    settings.ASGI_APPLICATION = "tests.described.application"


def page(method: str = "GET") -> HttpResponse:
    return views.page(getattr(RequestFactory(), method.lower())("/gateways/"))


def text_of(response: HttpResponse) -> str:
    return " ".join(response.content.decode().split())


def test_document_is_that_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("gateway_schema")
    response = views.asyncapi(RequestFactory().get("/gateways/asyncapi.json"))
    assert response.content.decode() == capsys.readouterr().out
    assert response["Content-Type"] == "application/json"


def test_page_shows_what_there_is_to_know() -> None:
    text = text_of(page())
    for each in (
        "<code>/zoo/{number}/{name}/</code>",
        "The permissions: zoo:enter.",
        "<code>number</code>: A whole number.",
        "Clients join rooms by themselves. Let everybody see any animal.",
        '<a href="#type-EverythingInput">EverythingInput</a>',
        '<pre id="type-EverythingInput"',
        "One of the roles: keeper.",
        "5 at once, and 5 a minute in the long run.",
        "[number, <a href=",
        "Any event: the gateway does not say which.",
        "It takes frames in a way of its own",
        "<code>outcome_unknown</code>",
    ):
        assert each in text


def test_page_escapes_what_gateways_say(settings: Any) -> None:
    settings.ASGI_APPLICATION = f"{__name__}.tricky"
    settings.DEBUG = True
    text = page().content.decode()
    assert "<script>" not in text
    assert "<code>&lt;script&gt;alert(&#x27;hi&#x27;)&lt;/script&gt;</code>" in text
    assert "&quot;&lt;script&gt;" in text


def test_page_has_no_script_without_debug() -> None:
    response = page()
    assert "script-src 'none';" in response["Content-Security-Policy"]
    assert "<script" not in response.content.decode()
    assert "Try it" not in response.content.decode()


@pytest.mark.parametrize(
    ("static", "sources"),
    [("static/", "'self'"), ("https://cdn.example.com/s/", "'self' https://cdn.example.com")],
)
def test_console_is_there_with_debug(settings: Any, static: str, sources: str) -> None:
    settings.DEBUG, settings.STATIC_URL = True, static
    response = page()
    assert f"script-src {sources};" in response["Content-Security-Policy"]
    assert re.search(r'<script type="module" src="[^"]+/schema.js"></script>', text_of(response))
    assert 'data-address="/zoo/{number}/{name}/"' in text_of(response)


def test_views_are_read_only() -> None:
    assert page("POST").status_code == 405


def test_description_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = surface.project_api()
    monkeypatch.setattr(surface, "api_of", None)
    assert page().status_code == 200
    assert surface.project_api() is first
