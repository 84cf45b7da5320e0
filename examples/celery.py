"""The Celery application: `celery -A examples worker` runs the tasks of `progress.py`."""

from __future__ import annotations

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "examples.settings")
app = Celery("examples", include=["examples.progress"])
app.config_from_object("django.conf:settings", namespace="CELERY")
