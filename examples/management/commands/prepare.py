"""`prepare`: makes what is to be there before the examples are served."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand

from examples.auction import Lot


class Command(BaseCommand):
    help = "Makes the database, a lot to bid for, and the accounts ann and bob (password: demo)."

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", run_syncdb=True, verbosity=0)
        Lot.objects.get_or_create(title="A teapot")
        users = get_user_model().objects
        for name in ("ann", "bob"):
            if not users.filter(username=name).exists():
                users.create_superuser(name, password="demo")  # noqa: S106  # No secret.
