"""A page in Django's admin: who is connected, and a button to disconnect somebody.

Only the admin imports this, where a project has it. A page of the admin belongs to a model, and
this one has none: no table, no migration, no content type. So what is registered is a stand-in that
says where the page is and what it is called.
"""

from __future__ import annotations

import logging
from typing import Any, ClassVar

from django.apps import AppConfig, apps
from django.contrib import admin, messages
from django.core.checks import CheckMessage
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.views.decorators.http import require_http_methods

from arcly_channels.close_codes import CloseCode
from arcly_channels.exceptions import RelayError
from arcly_channels.layers.configured import HINT, gateway_layers
from arcly_channels.layers.watch import overview
from arcly_channels.logs import noted

logger = logging.getLogger(__name__)

CLIENTS = 100
"""How many clients are shown."""

PERMISSION = "arcly_channels.disconnect_connection"
"""What somebody needs for the button. Superusers have it; others by a backend of the project's."""

REASON = "disconnected by staff"


class _Options:
    """What the admin asks of a model's `_meta`."""

    app_label = "arcly_channels"
    model_name = "connection"
    object_name = "Connection"
    verbose_name = "connection"
    verbose_name_plural = "connections"
    abstract = swapped = is_composite_pk = False

    @property
    def app_config(self) -> AppConfig:
        return apps.get_app_config(self.app_label)


class ConnectionsModel:
    """The stand-in for a model: `site.register([ConnectionsModel], ConnectionsAdmin)`."""

    _meta: ClassVar[Any] = _Options()


class ConnectionsAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # Generic to mypy only.
    """Shows the clients for which most waits to everybody whom the admin lets in."""

    def get_urls(self) -> list[URLPattern]:
        page = self.admin_site.admin_view(require_http_methods(["GET", "POST"])(self._page))
        return [path("", page, name="arcly_channels_connection_changelist")]

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        return []

    def has_module_permission(self, request: HttpRequest) -> bool:
        return True

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    has_change_permission = has_delete_permission = has_add_permission

    def _page(self, request: HttpRequest) -> HttpResponse:
        may_disconnect = request.user.has_perm(PERMISSION)
        if request.method == "POST":
            if not may_disconnect:
                raise PermissionDenied(f"this needs the permission {PERMISSION}")
            _disconnect(request, request.POST.get("id", ""))
            return redirect(request.path)
        layers = gateway_layers()
        wanted = request.GET.get("q", "").strip()
        context = {
            **self.admin_site.each_context(request),
            "title": "Connections",
            "found": overview(layers, CLIENTS, wanted) if layers else None,
            "hint": HINT,
            "wanted": wanted,
            "may_disconnect": may_disconnect,
            "most": CLIENTS,
        }
        request.current_app = self.admin_site.name  # As Django does, for `admin:` in templates.
        return TemplateResponse(request, "admin/arcly_channels/connections.html", context)


def _disconnect(request: HttpRequest, id: str) -> None:
    """Close the socket of one client, which is not to come back."""
    try:
        was_there = any(
            layer.close_one_now(id, CloseCode.FORBIDDEN, REASON) for layer in gateway_layers()
        )
    except RelayError as error:
        messages.error(request, f"The process of that connection cannot be reached: {error}.")
        return
    if not was_there:
        messages.warning(request, "That connection is gone.")
        return
    extra = noted(None, code=CloseCode.FORBIDDEN, reason=REASON)
    logger.info("Connection %s was disconnected by %s", id, request.user, extra=extra)
    messages.success(request, f"Connection {id} was disconnected.")


admin.site.register([ConnectionsModel], ConnectionsAdmin)
