"""Settings of the demo: sqlite, users, tokens, and a tenant for each subdomain of localhost."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

SECRET_KEY = "for-the-demo-only-keep-yours-secret-and-out-of-the-repository"  # noqa: S105
DEBUG = True
ALLOWED_HOSTS = [".localhost", "127.0.0.1", "[::1]"]  # Origins of WebSockets, too.

INSTALLED_APPS = [
    "daphne",  # Before staticfiles: it gives `runserver` WebSockets.
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "django_prometheus",
    "channels",
    "arcly_channels",
    "demo_project.chat",
    "demo_project.slow_client",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",  # Of the admin; the chat has tokens.
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "arcly_channels.identity.HttpIdentityMiddleware",
]

ROOT_URLCONF = "demo_project.urls"
ASGI_APPLICATION = "demo_project.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
DATABASE = os.environ.get("DEMO_DATABASE", Path(__file__).resolve().parent.parent / "db.sqlite3")
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATABASE}}
STATIC_URL = "static/"
TIME_ZONE = "UTC"
USE_TZ = True

CHANNEL_LAYERS = {"default": {"BACKEND": "arcly_channels.layers.LocalChannelLayer"}}
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
REDIS = os.environ.get("DEMO_REDIS_URL")
if REDIS:  # Several processes are one chat: `make demo-cluster`.
    config: Any = {"hosts": [REDIS], "prefix": "demo"}
    layer = {"BACKEND": "arcly_channels.layers.RedisChannelLayer", "CONFIG": config}
    CHANNEL_LAYERS["default"] = layer
    cache = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS}
    CACHES["default"] = {**cache, "KEY_PREFIX": "demo"}
ARCLY_CHANNELS = {
    "WATCH_KEY": "for-the-demo-only",
    "JWT": {"KEYS": ["another-one-for-the-demo-only-which-signs-the-tokens-of-its-users"]},
    "TENANTS": ["public", "acme", "globex"],
    "TENANT_STRATEGY": {"SUBDOMAIN": "localhost"},
    "TENANT_FALLBACK": "public",  # For everybody, on plain localhost.
    "MAX_ROOMS_PER_CONNECTION": 50,
    "TRUSTED_PROXIES": ["unix"],  # The nginx of `make demo-cluster`, which comes by a socket file.
}
STOCK_PORT = os.environ.get("DEMO_STOCK_PORT")  # Of the server beside it, which `make demo` starts.
