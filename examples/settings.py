"""Settings of the examples: accounts in SQLite, and a Redis that all processes share."""

from __future__ import annotations

import os
from pathlib import Path

HERE = Path(__file__).parent
REDIS = os.environ.get("REDIS_URL", "redis://127.0.0.1:6379")

SECRET_KEY = "for-the-examples-only-keep-yours-secret-and-out-of-the-repository"  # noqa: S105
DEBUG = True
ALLOWED_HOSTS = ["localhost", "127.0.0.1", "[::1]"]  # Origins of WebSockets, too.
INSTALLED_APPS = [
    "daphne",  # Before staticfiles: it gives `runserver` WebSockets.
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "channels",
    "arcly_channels",
    "examples",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "examples.policy.ContentSecurityPolicy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
ROOT_URLCONF = "examples.urls"
ASGI_APPLICATION = "examples.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [HERE],  # Each page is beside its gateway.
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
DATABASE = os.environ.get("EXAMPLES_DATABASE", HERE / "db.sqlite3")
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": DATABASE}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "static/"
USE_TZ = True

CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "arcly_channels.layers.RedisChannelLayer",
        "CONFIG": {"hosts": [REDIS], "prefix": "examples"},
    }
}
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS,
        "KEY_PREFIX": "examples",
    }
}
ARCLY_CHANNELS = {"CLAIMS_FROM_USER": True}  # Sockets end with the sessions of their users.
CELERY_BROKER_URL = REDIS
