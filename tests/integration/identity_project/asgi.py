"""What the server runs."""

from __future__ import annotations

import os
from typing import Any

from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.integration.identity_project.settings")
http = get_asgi_application()

from arcly_channels.identity import (  # noqa: E402  # Django comes first.
    IdentityMiddlewareStack,
    SameHostOriginValidator,
)
from tests.integration.identity_project.gateways import Anywhere, Lobby, Members  # noqa: E402

gateways: dict[str, Any] = {  # Any, since `path` is typed for views only.
    "lobby": Lobby.as_asgi(),
    "members": Members.as_asgi(),
    "anywhere": Anywhere.as_asgi(),
    "same-host": SameHostOriginValidator(Lobby.as_asgi()),
}
routes = [path(name, gateway) for name, gateway in gateways.items()]
application = ProtocolTypeRouter(
    {
        "http": http,
        "websocket": AllowedHostsOriginValidator(IdentityMiddlewareStack(URLRouter(routes))),
    }
)
