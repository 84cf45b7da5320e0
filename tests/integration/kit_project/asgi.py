"""The project as a server runs it."""

from __future__ import annotations

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application
from django.urls import path

from tests.integration.kit_project.site import Users

http = get_asgi_application()
websocket = AuthMiddlewareStack(URLRouter([path("ws/", Users.as_asgi())]))
application = ProtocolTypeRouter(
    {"http": http, "websocket": AllowedHostsOriginValidator(websocket)}
)
