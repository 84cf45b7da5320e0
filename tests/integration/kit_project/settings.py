"""A project that is tested with the kit: users in a database in memory, static files, a page."""

from __future__ import annotations

PROJECT = "tests.integration.kit_project"

SECRET_KEY = "for-the-tests-only"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "channels",
    "arcly_channels",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
STATIC_URL = "/static/"
ROOT_URLCONF = f"{PROJECT}.site"
ASGI_APPLICATION = f"{PROJECT}.asgi.application"
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "arcly_channels.layers.RedisChannelLayer",
        "CONFIG": {"hosts": ["redis://nowhere.invalid"]},
    }
}
