"""The description of gateways for whoever may see it: a page, and the document.

Both say what everybody could try; who may know it is up to the project, which includes the URLs or
wraps the views.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.templatetags.static import static
from django.views.decorators.http import require_safe

from arcly_channels.schema.formats import as_json
from arcly_channels.schema.page import context_of
from arcly_channels.schema.surface import project_api

POLICY = (
    "default-src 'none'; style-src {files}; script-src {scripts}; connect-src 'self'; "
    "img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """Show the gateways to people; with DEBUG, have them try it from there."""
    context = {**context_of(project_api()), "has_console": settings.DEBUG}
    response = render(request, "arcly_channels/schema.html", context)
    files = f"'self' {_origin(static('arcly_channels/schema.css'))}".strip()
    scripts = files if settings.DEBUG else "'none'"
    response["Content-Security-Policy"] = POLICY.format(files=files, scripts=scripts)
    return response


@require_safe
def asyncapi(request: HttpRequest) -> HttpResponse:
    """Return the document of AsyncAPI, as `manage.py gateway_schema` writes it."""
    return HttpResponse(as_json(project_api()), content_type="application/json")


def _origin(url: str) -> str:
    """Return the origin of static files; nothing where it is that of the page."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme else parts.netloc
