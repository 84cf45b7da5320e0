"""An ASGI application of plain Channels consumers, and of views that send them bursts of messages.

The layer is the one that the variable `TEST_BACKEND` names, with the CONFIG in `TEST_CONFIG`.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
from typing import Any

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="burst " * 8,
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    DATABASES={
        "default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ["TEST_DATABASE"]}
    },
    CHANNEL_LAYERS={
        "default": {
            "BACKEND": os.environ["TEST_BACKEND"],
            "CONFIG": json.loads(os.environ.get("TEST_CONFIG", "{}")),
        }
    },
)
django.setup()

from asgiref.sync import async_to_sync  # noqa: E402
from channels.db import database_sync_to_async  # noqa: E402
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer  # noqa: E402
from channels.layers import get_channel_layer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.db import connection  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402

GROUP = "burst"
PADDING = "x" * 100


class Sync(WebsocketConsumer):
    groups = (GROUP,)

    def burst_message(self, message: dict[str, Any]) -> None:
        self.send(str(message["number"]))


class Async(AsyncWebsocketConsumer):
    groups = (GROUP,)

    async def burst_message(self, message: dict[str, Any]) -> None:
        await self.send(str(message["number"]))


def query() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchall()


class Database(AsyncWebsocketConsumer):
    groups = (GROUP,)

    async def burst_message(self, message: dict[str, Any]) -> None:
        await database_sync_to_async(query)()
        await self.send(str(message["number"]))


released = asyncio.Event()


class Stuck(AsyncWebsocketConsumer):
    """Takes one message, and the next when it is released."""

    groups = (GROUP,)

    async def burst_message(self, message: dict[str, Any]) -> None:
        await released.wait()
        await self.send(str(message["number"]))


def burst(number: int) -> Any:
    message = {"type": "burst.message", "number": number, "padding": PADDING}
    return get_channel_layer().group_send(GROUP, message)


async def all_in_turn(count: int) -> None:
    for number in range(count):
        await burst(number)


def sync_view(request: HttpRequest, count: int) -> HttpResponse:
    for number in range(count):
        async_to_sync(burst)(number)
    return answer()


def bulk_view(request: HttpRequest, count: int) -> HttpResponse:
    async_to_sync(all_in_turn)(count)
    return answer()


async def async_view(request: HttpRequest, count: int) -> HttpResponse:
    await all_in_turn(count)
    return answer()


async def async_bulk_view(request: HttpRequest, count: int) -> HttpResponse:
    await asyncio.gather(*map(burst, range(count)))
    return answer()


async def release_view(request: HttpRequest) -> HttpResponse:
    released.set()
    return answer()


def report(request: HttpRequest) -> HttpResponse:
    return answer()


def answer() -> HttpResponse:
    """Say how much memory the process has had, in KiB, and what a layer of ours counted."""
    layer = get_channel_layer()
    found: dict[str, Any] = {"peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}
    if hasattr(layer, "registry"):
        found |= {**layer.counts, "evictions": layer.registry.evictions}
    return HttpResponse(json.dumps(found))


urlpatterns = [
    path("sync/<int:count>", sync_view),
    path("bulk/<int:count>", bulk_view),
    path("async/<int:count>", async_view),
    path("async_bulk/<int:count>", async_bulk_view),
    path("release", release_view),
    path("report", report),
]
application = ProtocolTypeRouter(
    {
        "http": get_asgi_application(),
        "websocket": URLRouter(
            [path(each.__name__, each.as_asgi()) for each in (Sync, Async, Database, Stuck)]
        ),
    }
)
