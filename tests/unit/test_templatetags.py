"""`{% gateway_script %}`: what stands on the page, and what cannot."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import pytest
from django.template import Context, Engine, Template, engines
from django.utils.functional import lazystr

NASTY = "\"'`</script><!--<script>]]>&quot;\u2028\u2029${1}\\{{ 1 }}{% 1 %}"
"""What might end a script, a string, a comment, or an attribute."""


class Scripts(HTMLParser):
    """The scripts of a page, each with its attributes and its text, and whatever else there is."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[dict[str, str | None], str]] = []
        self.others: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "script":
            self.found.append((dict(attrs), ""))
        else:
            self.others.append(tag)

    def handle_data(self, data: str) -> None:
        if self.cdata_elem:
            attributes, text = self.found.pop()
            self.found.append((attributes, text + data))
        else:
            self.others.append(data)


def rendered(tag: str = "{% gateway_script %}", **context: Any) -> str:
    template: Any = engines["django"].from_string("{% load arcly_channels %}" + tag)
    page: str = template.render(context)
    return page


def scripts(tag: str = "{% gateway_script %}", **context: Any) -> list[tuple[Any, str]]:
    page = Scripts(rendered(tag, **context))
    assert "".join(page.others).strip() == ""
    return page.found


def test_page_gets_a_map_of_the_names_to_the_static_files() -> None:
    [(attributes, text)] = scripts()
    assert attributes == {"type": "importmap"}
    assert json.loads(text)["imports"] == {
        "arcly-channels": "/static/arcly_channels/gateway.js",
        "arcly-channels/event-stream": "/static/arcly_channels/event-stream.js",
    }


def test_map_follows_where_static_files_are(settings: Any) -> None:
    settings.STATIC_URL = "https://files.example.com/"
    [(_, text)] = scripts()
    assert "https://files.example.com/arcly_channels/gateway.js" in text


def test_page_with_an_address_gets_a_module_that_connects_to_it() -> None:
    importmap, module = scripts('{% gateway_script "/ws/chat/" %}')
    assert importmap[0] == {"type": "importmap"}  # First: later ones do not count.
    assert module[0] == {"type": "module"}
    assert 'from "arcly-channels"' in module[1]
    assert 'new Gateway("/ws/chat/")' in module[1]


# The nonce


class LazyNonce:
    """A nonce as Django and django-csp have it: made, and true, once it was asked for its text."""

    is_made = False

    def __str__(self) -> str:
        self.is_made = True
        return "made"

    def __bool__(self) -> bool:
        return self.is_made


@pytest.mark.parametrize(
    ("context", "nonce"),
    [
        ({"mine": "given"}, "given"),
        ({"csp_nonce": "found"}, "found"),
        ({"csp_nonce": LazyNonce()}, "made"),
        ({"mine": LazyNonce()}, "made"),
        ({"csp_nonce": None, "request": SimpleNamespace(csp_nonce=None)}, None),
        ({"request": SimpleNamespace(csp_nonce="asked")}, "asked"),
        ({"request": SimpleNamespace(csp_nonce=LazyNonce())}, "made"),
        ({"csp_nonce": "found", "request": SimpleNamespace(csp_nonce="asked")}, "found"),
        ({"mine": "given", "csp_nonce": "found"}, "given"),
    ],
)
def test_nonce_is_found_where_it_is_and_stands_at_each_script(
    context: dict[str, Any], nonce: str | None
) -> None:
    found = scripts("{% gateway_script '/ws/' nonce=mine %}", **context)
    assert [attributes.get("nonce") for attributes, _ in found] == [nonce, nonce]


@pytest.mark.parametrize(
    "context",
    [{}, {"csp_nonce": ""}, {"request": object()}, {"request": None}],
    ids=["nothing", "empty", "request without one", "no request"],
)
def test_page_without_a_nonce_gets_no_attribute(context: dict[str, Any]) -> None:
    assert all("nonce" not in attributes for attributes, _ in scripts(**context))


def test_page_without_a_request_is_rendered() -> None:
    engine = Engine(libraries={"arcly_channels": "arcly_channels.templatetags.arcly_channels"})
    template = Template("{% load arcly_channels %}{% gateway_script '/ws/' %}", engine=engine)
    assert template.render(Context()).count("<script") == 2


# What cannot break out


def test_address_is_one_string_of_the_script_whatever_is_in_it() -> None:
    page = rendered("{% gateway_script url %}", url=NASTY)
    assert page.count("<script") == page.count("</script>") == 2
    _, (_, module) = Scripts(page).found
    literal = re.search(r"new Gateway\((.*)\);", module)
    assert literal is not None
    assert json.loads(literal[1]) == NASTY
    assert not set(literal[1]) & set("<>&\u2028\u2029")


def test_nonce_is_one_attribute_whatever_is_in_it() -> None:
    found = scripts("{% gateway_script '/ws/' nonce=mine %}", mine=NASTY)
    assert [attributes for attributes, _ in found] == [
        {"type": "importmap", "nonce": NASTY},
        {"type": "module", "nonce": NASTY},
    ]


def test_place_of_static_files_is_one_string_of_the_map_whatever_is_in_it(settings: Any) -> None:
    settings.STATIC_URL = "/a'</script><script>&/"
    page = rendered()
    assert page.count("<script") == 1
    [(_, text)] = Scripts(page).found
    assert "</script>" not in text
    assert json.loads(text)["imports"]["arcly-channels"].endswith("/arcly_channels/gateway.js")


def test_template_that_escapes_nothing_itself_is_no_worse() -> None:
    tag = "{% autoescape off %}{% gateway_script url nonce=mine %}{% endautoescape %}"
    context = {"url": NASTY, "mine": NASTY}
    assert rendered(tag, **context) == rendered("{% gateway_script url nonce=mine %}", **context)


def test_address_may_be_one_that_is_made_when_it_is_used() -> None:
    _, (_, module) = scripts("{% gateway_script url %}", url=lazystr("/ws/late/"))
    assert 'new Gateway("/ws/late/")' in module
