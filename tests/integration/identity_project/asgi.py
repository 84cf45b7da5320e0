"""What the server runs."""

from __future__ import annotations

import os

from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "identity_project.settings")
http = get_asgi_application()

from arcly_channels.identity import IdentityMiddlewareStack  # noqa: E402  # Django comes first.
from identity_project.gateways import Anywhere, Lobby, Members  # noqa: E402

routes = [
    path("lobby", Lobby.as_asgi()),
    path("members", Members.as_asgi()),
    path("anywhere", Anywhere.as_asgi()),
]
application = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": AllowedHostsOriginValidator(IdentityMiddlewareStack(URLRouter(routes))),
    }
)
