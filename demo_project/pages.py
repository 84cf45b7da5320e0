"""How the demo shows a page: under a Content-Security-Policy that lets in its own files only."""

from __future__ import annotations

import secrets
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self'; "
    "img-src data:; connect-src 'self' {also}; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)


def show(
    request: HttpRequest, template: str, context: dict[str, Any], *, connects_to: str = ""
) -> HttpResponse:
    """Render a page whose inline scripts have a nonce, which `{% gateway_script %}` looks for.

    It connects to its own server, and to the origin `connects_to`.
    """
    nonce = secrets.token_urlsafe(16)
    response = render(request, template, {**context, "csp_nonce": nonce})
    response["Content-Security-Policy"] = POLICY.format(nonce=nonce, also=connects_to)
    return response
