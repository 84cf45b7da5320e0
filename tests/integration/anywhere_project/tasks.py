"""The tasks of Celery, whose broker is a folder."""

from __future__ import annotations

import os

import django
from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.integration.anywhere_project.settings")
django.setup()

from arcly_channels import broadcast_to_room  # noqa: E402  # Django comes first.

folder = os.environ.get("ANYWHERE_BROKER", "broker")
folders = dict.fromkeys(("data_folder_in", "data_folder_out", "control_folder"), folder)
app = Celery("anywhere", broker="filesystem://", broker_transport_options=folders)


@app.task  # type: ignore[untyped-decorator]  # Celery has no types.
def announce(room: str, number: int) -> None:
    broadcast_to_room(room, "tick", [number, os.getpid()])
