"""`manage.py announce room count`: sends, and exits at once."""

from __future__ import annotations

from argparse import ArgumentParser

from django.core.management import BaseCommand

from arcly_channels import broadcast_to_room


class Command(BaseCommand):
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("room")
        parser.add_argument("count", type=int)

    def handle(self, *, room: str, count: int, **_: object) -> None:
        for number in range(count):
            broadcast_to_room(room, "tick", number)
