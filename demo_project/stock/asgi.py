"""The ASGI application of stock Channels: WebSockets only."""

from __future__ import annotations

import os

import django
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.urls import path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "demo_project.stock.settings")
django.setup()

from demo_project.stock.consumer import StockConsumer  # noqa: E402

routes = [path("ws/slow-client/", StockConsumer.as_asgi())]
application = ProtocolTypeRouter({"websocket": AllowedHostsOriginValidator(URLRouter(routes))})
