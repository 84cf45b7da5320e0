"""`feed_dashboard`: measures every second, in a process of its own."""

from __future__ import annotations

import os
import time
from argparse import ArgumentParser
from contextlib import suppress
from typing import Any

from django.core.cache import cache
from django.core.management.base import BaseCommand

from arcly_channels import broadcast_to_room, connection_count
from examples.dashboard import DASHBOARD


class Command(BaseCommand):
    help = "Sends figures of this machine to the dashboard."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="and not every second")

    def handle(self, *args: Any, once: bool, **options: Any) -> None:
        measure()
        with suppress(KeyboardInterrupt):  # Which ends it.
            while not once:
                time.sleep(1)
                measure()


def measure() -> None:
    """Tell those who look at the dashboard, and keep what is told for those who come."""
    clients = connection_count()  # Of all servers, which are asked.
    figures = {"at": time.time(), "load": os.getloadavg()[0], "clients": clients}
    cache.set(DASHBOARD, figures)
    broadcast_to_room(DASHBOARD, "figures", figures)
