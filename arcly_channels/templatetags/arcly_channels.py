"""`{% gateway_script %}`: what a page needs to import `gateway.js`, and to connect with it."""

from __future__ import annotations

import json
from typing import Any

from django import template
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

MODULE = "arcly-channels"
"""The name by which scripts of the page import it."""

MODULES = {MODULE: "gateway.js", f"{MODULE}/event-stream": "event-stream.js"}
"""The files of all that they may import."""

ESCAPES = {ord(each): f"\\u{ord(each):04x}" for each in "<>&\u2028\u2029"}
"""What may end a script, or make another of it, may not stand in one."""

CONNECT = """
import {{ Gateway }} from {module};
globalThis.gateway = new Gateway({url});
gateway.connect();
"""

register = template.Library()


@register.simple_tag(takes_context=True)
def gateway_script(context: Any, url: str = "", *, nonce: str = "") -> SafeString:
    """Map `arcly-channels` to the client's modules; with a `url`, connect `window.gateway` to it.

    It belongs before the first module of the page. The nonce of a Content-Security-Policy is found
    where Django and django-csp have it; another is given by `nonce`.
    """
    nonce = _text(nonce) or _text(context.get("csp_nonce")) or _nonce_of(context.get("request"))
    sources = {name: static(f"arcly_channels/{file}") for name, file in MODULES.items()}
    scripts = [_script("importmap", _literal({"imports": sources}), nonce)]
    if url:
        connect = CONNECT.format(module=_literal(MODULE), url=_literal(str(url)))
        scripts.append(_script("module", connect, nonce))
    return mark_safe("\n".join(scripts))  # noqa: S308  # All of it is escaped.


def _nonce_of(request: Any) -> str:
    """Return what django-csp has put there."""
    return _text(getattr(request, "csp_nonce", None))


def _text(nonce: object) -> str:
    """Return a nonce as text, which makes it, where it is lazy: before that it counts as false."""
    return "" if nonce is None else str(nonce)


def _script(kind: str, content: str, nonce: str) -> SafeString:
    attribute = format_html(' nonce="{}"', nonce) if nonce else ""
    return format_html(
        '<script type="{}"{}>{}</script>',
        kind,
        attribute,
        mark_safe(content),  # noqa: S308
    )


def _literal(value: object) -> str:
    return json.dumps(value).translate(ESCAPES)
