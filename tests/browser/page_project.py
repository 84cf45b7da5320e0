"""A site whose pages have a strict Content-Security-Policy, and gateways that end as tests want."""

from __future__ import annotations

import asyncio
import os
import secrets
import tempfile
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import django
from django.conf import settings

PAGE = Path(__file__).parent / "page"
STATIC = os.path.join(tempfile.gettempdir(), "static")  # noqa: PTH118  # As the setting wants it.

settings.configure(
    SECRET_KEY="for-the-tests-only",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.staticfiles", "channels", "arcly_channels"],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "DIRS": [PAGE],
            "OPTIONS": {"context_processors": ["django.template.context_processors.request"]},
        }
    ],
    STATIC_URL="/static/",
    STATIC_ROOT=STATIC,
    STATICFILES_DIRS=[PAGE],
    STORAGES={
        "staticfiles": {
            "BACKEND": "django.contrib.staticfiles.storage.ManifestStaticFilesStorage",
        }
    },
    CHANNEL_LAYERS={"default": {"BACKEND": "arcly_channels.layers.LocalChannelLayer"}},
    ARCLY_CHANNELS={
        "JWT": {"KEYS": ["s" * 32]},
        "PING_INTERVAL": float(os.environ.get("TEST_PING_INTERVAL", "20")),
        "IDLE_TIMEOUT": float(os.environ.get("TEST_IDLE_TIMEOUT", "60")),
    },
)
django.setup()

from channels.generic.websocket import AsyncJsonWebsocketConsumer  # noqa: E402
from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.http import HttpRequest, HttpResponse, JsonResponse  # noqa: E402
from django.shortcuts import render  # noqa: E402
from django.urls import path, re_path  # noqa: E402
from django.views.static import serve  # noqa: E402

from arcly_channels import (  # noqa: E402
    EventStream,
    GatewayConsumer,
    aroom_size,
    subscribe,
)
from arcly_channels.fanout.audience import Group  # noqa: E402
from arcly_channels.identity import IdentityMiddlewareStack  # noqa: E402
from arcly_channels.identity.tokens import issue_token  # noqa: E402

call_command("collectstatic", interactive=False, verbosity=0)

STREAMS = "streams"
"""The room of all event streams."""
FLOOD = "x" * 64 * 1024
MOST_FRAMES = 8192  # Half a gigabyte: no buffer between a server and a tab is that large.


@dataclass
class Facts:
    """What the server knows of a page, by the name in the address of its gateway."""

    attempts: int = 0
    opened: int = 0
    refreshed: int = 0
    tokens: int = 0
    ends: list[int] = field(default_factory=list)


facts: defaultdict[str, Facts] = defaultdict(Facts)


def facts_of(scope: dict[str, Any]) -> Facts:
    return facts[parse_qs(scope["query_string"].decode())["name"][0]]


# Gateways


class Chat(GatewayConsumer):
    async def may_join(self, room: str) -> None: ...

    async def on_connect(self) -> None:
        facts_of(self.scope).opened += 1

    async def on_refresh(self) -> None:
        facts_of(self.scope).refreshed += 1

    async def on_disconnect(self, code: int) -> None:
        facts_of(self.scope).ends.append(code)

    @subscribe("echo")
    async def echo(self, data: Any) -> Any:
        return data

    @subscribe("say")
    async def say(self, data: Any) -> None:
        await self.broadcast_to_room(data["room"], "said", data["text"])

    @subscribe("end streams")
    async def end_streams(self, data: int) -> None:
        self.channel_layer.registry.close(Group(STREAMS), data)

    @subscribe("flood")
    async def flood(self, data: Any) -> int:
        """Send to a room at the pace of a fast network, until nobody is in it; return how much."""
        for sent in range(MOST_FRAMES):
            if not await aroom_size(data["room"]):
                return sent
            await self.broadcast_to_room(data["room"], "flood", FLOOD)
            await asyncio.sleep(0.002)
        return MOST_FRAMES

    @subscribe("end")
    async def end(self, data: Any) -> None:
        await self.close(data)


class Events(EventStream):
    async def may_join(self, room: str) -> None: ...

    async def on_connect(self) -> None:
        await self.join_room(STREAMS)
        facts_of(self.scope).opened += 1

    async def on_disconnect(self, code: int) -> None:
        facts_of(self.scope).ends.append(code)


class Members(Chat):
    require_claims = True


class Staff(Chat):
    required_roles = "staff"


class Stock(AsyncJsonWebsocketConsumer):
    """What projects have without a gateway, talking in the same envelope."""

    async def receive_json(self, content: Any, **kwargs: Any) -> None:
        await self.send_json({"event": "said", "data": content["data"]})


class Closing(AsyncJsonWebsocketConsumer):
    """Lets everybody in, and out again."""

    async def connect(self) -> None:
        await self.accept()
        await self.close(1011)


class Counted:
    """Counts who knocks, whatever becomes of it."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    async def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        facts_of(scope).attempts += 1
        return await self.inner(scope, receive, send)


gateways: dict[str, Any] = {
    "chat": Chat,
    "members": Members,
    "staff": Staff,
    "stock": Stock,
    "closing": Closing,
}


# Pages


def page(request: HttpRequest, template: str) -> HttpResponse:
    """Show a page that runs nothing but scripts with its nonce, which is where a test wants it."""
    nonce = secrets.token_urlsafe()
    context: dict[str, Any] = {"argument": "", "url": request.GET.get("url", "")}
    place = request.GET.get("nonce", "argument")
    if place == "request":
        request.csp_nonce = nonce  # type: ignore[attr-defined]
    else:
        context[place] = nonce
    context["page_nonce"] = nonce
    response = render(request, template, context)
    response["Content-Security-Policy"] = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; connect-src 'self'; worker-src 'self'"
    )
    return response


def worker(request: HttpRequest) -> HttpResponse:
    response = render(request, "worker.js", content_type="text/javascript")
    response["Content-Security-Policy"] = (
        "default-src 'none'; script-src 'self'; connect-src 'self'"
    )
    return response


def token(request: HttpRequest) -> HttpResponse:
    name, life = request.GET["name"], float(request.GET["life"])
    facts[name].tokens += 1
    return HttpResponse(issue_token({"sub": name}, lifetime=life))


def tell(request: HttpRequest, name: str) -> HttpResponse:
    return JsonResponse(asdict(facts[name]))


urlpatterns = [
    path("favicon.ico", lambda request: HttpResponse(status=204)),
    path("static/<path:path>", serve, {"document_root": STATIC}),
    path("worker.js", worker),
    path("token", token),
    path("facts/<name>", tell),
    path("<template>", page),
]
application = ProtocolTypeRouter(
    {
        "http": URLRouter(
            [
                path("events", Counted(IdentityMiddlewareStack(Events.as_asgi()))),
                re_path("", get_asgi_application()),  # type: ignore[arg-type]  # Of Channels.
            ]
        ),
        "websocket": Counted(
            IdentityMiddlewareStack(
                URLRouter([path(f"ws/{name}", each.as_asgi()) for name, each in gateways.items()])
            )
        ),
    }
)
