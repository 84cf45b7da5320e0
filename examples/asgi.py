"""The ASGI application of the examples: Django's pages, and the gateways below `/ws/`."""

from __future__ import annotations

import os
from typing import Any

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator, WebsocketDenier
from django.core.asgi import get_asgi_application
from django.urls import path, re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "examples.settings")
pages = get_asgi_application()  # Sets Django up, which the imports below rely on.

from arcly_channels.identity import (  # noqa: E402
    IdentityMiddlewareStack,
    SameHostOriginValidator,
)
from examples.auction import Auction  # noqa: E402
from examples.cursors import Cursors  # noqa: E402
from examples.dashboard import Dashboard  # noqa: E402
from examples.notifications import Notifications  # noqa: E402
from examples.progress import Progress  # noqa: E402

routes: list[Any] = [
    path("ws/auction/<int:pk>/", Auction.as_asgi()),
    path("ws/cursors/", Cursors.as_asgi()),
    path("ws/dashboard/", Dashboard.as_asgi()),
    path("ws/notifications/", Notifications.as_asgi()),
    path("ws/progress/", Progress.as_asgi()),
    re_path("", WebsocketDenier.as_asgi()),  # Any other path, which costs a traceback otherwise.
]
known = AuthMiddlewareStack(IdentityMiddlewareStack(URLRouter(routes)))
own = SameHostOriginValidator(known)

application = ProtocolTypeRouter({"http": pages, "websocket": AllowedHostsOriginValidator(own)})
