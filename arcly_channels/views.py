"""The views of `arcly_channels.urls`: whether this process is well, and what goes on in it.

Plain functions, which both a WSGI and an ASGI server run; the latter in a thread, so that they see
an event loop from outside. None of them needs a session, a database or a login of the project's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import connections
from django.db.transaction import non_atomic_requests
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from arcly_channels.conf.settings import get_settings
from arcly_channels.layers.configured import HINT, gateway_layers
from arcly_channels.layers.watch import overview, problems_of
from arcly_channels.session.drain import drain

View = Callable[[HttpRequest], HttpResponse]

KEY_HEADER = "X-Watch-Key"

CLIENTS, MOST_CLIENTS = 20, 1000
"""How many clients are shown if nothing is said, and at most."""


def _open(view: View) -> View:
    """Return a view for probes and tools: safe, never cached, without a login or a transaction."""
    opened: Any = never_cache(require_safe(view))
    for alias in connections:  # ATOMIC_REQUESTS would have a probe wait for the database.
        opened = non_atomic_requests(using=alias)(opened)
    opened.login_required = False  # What Django's `LoginRequiredMiddleware` asks for.
    made: View = opened
    return made


@_open
def healthz(request: HttpRequest) -> HttpResponse:
    """Say that this process answers."""
    return JsonResponse({"status": "ok"})


@_open
def readyz(request: HttpRequest) -> HttpResponse:
    """Say whether this process should get new clients: 503 if not, with what is wrong and why."""
    problems = [{"what": what, "why": why} for what, why in problems_of(gateway_layers())]
    if drain.is_on:
        problems.insert(0, {"what": "draining", "why": "the server is about to end"})
    if problems:
        return JsonResponse({"status": "not ready", "problems": problems}, status=503)
    return JsonResponse({"status": "ok"})


@_open
def gateway_top(request: HttpRequest) -> HttpResponse:
    """Show what goes on, to staff and to who has the key: what `manage.py gateway_top` reads."""
    if not (_has_key(request) or is_staff(request)):
        advice = f"log in as staff, or send the WATCH_KEY of the settings as {KEY_HEADER}"
        return JsonResponse({"error": advice}, status=403)
    layers = gateway_layers()
    if not layers:
        error = f"no layer in CHANNEL_LAYERS is of arcly_channels: {HINT}"
        return JsonResponse({"error": error}, status=404)
    return JsonResponse(overview(layers, _number(request.GET.get("clients", ""))))


def is_staff(request: HttpRequest) -> bool:
    """Return whether a request is from somebody who may see the admin's pages."""
    user: Any = getattr(request, "user", None)
    return bool(getattr(user, "is_active", False) and getattr(user, "is_staff", False))


def _has_key(request: HttpRequest) -> bool:
    key = get_settings().WATCH_KEY
    return key is not None and constant_time_compare(request.headers.get(KEY_HEADER, ""), key)


def _number(given: str) -> int:
    is_number = given.isascii() and given.isdecimal()
    return min(int(given[:9]), MOST_CLIENTS) if is_number else CLIENTS
