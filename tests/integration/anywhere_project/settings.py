"""One Redis, one tenant, and buffers that take whatever a test sends at once."""

from __future__ import annotations

import os

PROJECT = "tests.integration.anywhere_project"

SECRET_KEY = "for-tests-only-" + "x" * 40
DEBUG = False
ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = ["daphne", "channels", "arcly_channels", PROJECT]
MIDDLEWARE: list[str] = []
ROOT_URLCONF = f"{PROJECT}.urls"
ASGI_APPLICATION = f"{PROJECT}.asgi.application"
WSGI_APPLICATION = f"{PROJECT}.wsgi.application"
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "arcly_channels.layers.RedisChannelLayer",
        "CONFIG": {"hosts": [os.environ.get("ANYWHERE_REDIS", "redis://localhost")]},
    }
}
ARCLY_CHANNELS = {
    "JWT": {"KEYS": [SECRET_KEY]},
    "TENANTS": ["acme"],
    "TENANT_STRATEGY": {"HEADER": "X-Tenant"},
    "OUTBOUND_BUFFER": 20_000,
    "OUTBOUND_BUFFER_BYTES": 64 * 1024 * 1024,
}
