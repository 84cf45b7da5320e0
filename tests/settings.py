"""The least that a Django project needs for the tests."""

from __future__ import annotations

import json
import os

SECRET_KEY = "for-the-tests-only"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "channels",
    "arcly_channels",
    "django_prometheus",
]
USE_TZ = True
CHANNEL_LAYERS = {"default": {"BACKEND": "arcly_channels.layers.LocalChannelLayer"}}
ARCLY_CHANNELS: dict[str, object] = json.loads(os.environ.get("TEST_ARCLY_CHANNELS", "{}"))
