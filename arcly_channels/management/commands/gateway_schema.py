"""`manage.py gateway_schema`: what the routed gateways take and send, as AsyncAPI or TypeScript."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser

from arcly_channels.schema import formats
from arcly_channels.schema.surface import project_api


class Command(BaseCommand):
    help = "Describe the routed gateways: their addresses, events and types, as AsyncAPI 3.0.0."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        form = parser.add_mutually_exclusive_group()
        form.add_argument(
            "--yaml", dest="form", action="store_const", const="yaml", help="as YAML, not JSON"
        )
        form.add_argument(
            "--typescript",
            dest="form",
            action="store_const",
            const="typescript",
            help="the types of the events, for gateway.js",
        )
        parser.add_argument(
            "--check",
            metavar="FILE",
            type=Path,
            help="write nothing; end with 1, and what has changed, if FILE is not up to date",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the description; raise `CommandError` where there is none, or FILE is stale."""
        form = options["form"] or "json"
        try:
            text = formats.WRITERS[form](project_api())
        except (ImproperlyConfigured, formats.NoYaml) as problem:
            raise CommandError(str(problem)) from None
        if options["check"] is None:
            self.stdout.write(text, ending="")
        else:
            self._compare(options["check"], text, form)

    def _compare(self, file: Path, text: str, form: str) -> None:
        how = "manage.py gateway_schema" + (f" --{form}" if form != "json" else "")
        advice = f"write it anew with `{how} > {file}`"
        try:
            old = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{file} cannot be read ({error}): {advice}") from None
        if old == text:
            return
        before, now = old.splitlines(), text.splitlines()
        for line in difflib.unified_diff(before, now, str(file), "the code", lineterm=""):
            self.stdout.write(line)
        raise CommandError(f"{file} is not what the code says: {advice}")
