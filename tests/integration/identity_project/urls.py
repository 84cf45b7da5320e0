"""Views that say who asks, and that make others go."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

import arcly_channels
from arcly_channels.identity import get_tenants


def whoami(request: Any) -> HttpResponse:
    sub = request.claims and request.claims["sub"]
    return JsonResponse({"sub": sub, "tenant": request.tenant and request.tenant.id})


def suspend(request: HttpRequest, id: str) -> HttpResponse:
    return JsonResponse({"known": get_tenants().suspend(id)})


def resume(request: HttpRequest, id: str) -> HttpResponse:
    return JsonResponse({"known": get_tenants().resume(id)})


def kick(request: HttpRequest, sub: str) -> HttpResponse:
    return JsonResponse({"closed": arcly_channels.disconnect_user(sub)})


async def revoke(request: HttpRequest, jti: str) -> HttpResponse:
    return JsonResponse({"closed": await arcly_channels.adisconnect_token(jti)})


urlpatterns = [
    path("whoami", whoami),
    path("suspend/<id>", suspend),
    path("resume/<id>", resume),
    path("kick/<sub>", kick),
    path("revoke/<jti>", revoke),
]
