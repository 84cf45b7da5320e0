"""Two tenants by subdomain or header, and one secret."""

from __future__ import annotations

import os

SECRET_KEY = "for-tests-only-" + "x" * 40
DEBUG = False
ALLOWED_HOSTS = [".localhost", "[::1]", "127.0.0.1"]
INSTALLED_APPS = ["channels", "arcly_channels"]
MIDDLEWARE = ["arcly_channels.identity.HttpIdentityMiddleware"]
ROOT_URLCONF = "tests.integration.identity_project.urls"
ASGI_APPLICATION = "tests.integration.identity_project.asgi.application"
CHANNEL_LAYERS = {"default": {"BACKEND": "arcly_channels.layers.LocalChannelLayer"}}
ARCLY_CHANNELS = {
    "JWT": {"KEYS": [os.environ.get("IDENTITY_SECRET", "s" * 32)]},
    "TENANTS": ["acme", "globex", {"id": "closed", "suspended": True}],
    "TENANT_STRATEGY": {"HEADER": "X-Tenant", "SUBDOMAIN": "localhost"},
}
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"console": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["console"], "level": "DEBUG"},
    "loggers": {"asyncio": {"level": "WARNING"}},
}
