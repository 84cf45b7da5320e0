"""An ASGI application whose gateway says goodbye until there is a file, as long as a test wants."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")

from django.conf import settings
from django.core.asgi import get_asgi_application

settings.ROOT_URLCONF, settings.ALLOWED_HOSTS = "arcly_channels.urls", ["127.0.0.1"]
pages = get_asgi_application()

from channels.routing import ProtocolTypeRouter  # noqa: E402

from arcly_channels import GatewayConsumer  # noqa: E402

FILE = Path(os.environ.get("TEST_GOODBYE", "goodbye"))


def is_to_end() -> bool:
    return FILE.exists()


class Gateway(GatewayConsumer):
    async def on_disconnect(self, code: int) -> None:
        while not is_to_end():
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.02)


application = ProtocolTypeRouter({"http": pages, "websocket": Gateway.as_asgi()})
