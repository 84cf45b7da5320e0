"""The ASGI application of the demo: Django's pages, and the gateways below `/ws/`."""

from __future__ import annotations

import os
from typing import Any

from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator, WebsocketDenier
from django.core.asgi import get_asgi_application
from django.urls import path, re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "demo_project.settings")
pages = get_asgi_application()  # Sets Django up, which the imports below rely on.

from arcly_channels.identity import (  # noqa: E402
    IdentityMiddlewareStack,
    SameHostOriginValidator,
)
from demo_project.chat.gateway import ChatGateway  # noqa: E402
from demo_project.slow_client.gateway import SlowClientGateway  # noqa: E402

chat: Any = IdentityMiddlewareStack(ChatGateway.as_asgi())
gateways = [
    path("ws/chat/", chat),
    path("ws/slow-client/", SlowClientGateway.as_asgi()),  # Which asks where one comes from only.
    re_path("", WebsocketDenier.as_asgi()),  # Any other path, which costs a traceback otherwise.
]
known = SameHostOriginValidator(URLRouter(gateways))

application = ProtocolTypeRouter({"http": pages, "websocket": AllowedHostsOriginValidator(known)})
