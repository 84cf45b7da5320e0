"""Settings of a Channels project as its tutorial has them."""

from __future__ import annotations

SECRET_KEY = "for-the-demo-only-keep-yours-secret-and-out-of-the-repository"  # noqa: S105
DEBUG = True
ALLOWED_HOSTS = [".localhost", "127.0.0.1", "[::1]"]

INSTALLED_APPS = ["daphne", "channels"]
ASGI_APPLICATION = "demo_project.stock.asgi.application"
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
TIME_ZONE = "UTC"
USE_TZ = True
