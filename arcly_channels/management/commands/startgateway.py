"""`manage.py startgateway NAME`: a gateway in an app, with its route, its page and its test."""

from __future__ import annotations

import importlib
import keyword
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from arcly_channels.management.scaffold import Addition, Scaffold


class Command(BaseCommand):
    help = "Make a gateway, with its route, a page and a test, in an app of this project."
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", help="such as chat, which makes ChatGateway at /ws/chat/")
        parser.add_argument(
            "--app", help="the label of the app (default: the project's own package)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the files; raise `CommandError`, and write nothing, where that cannot be."""
        name = options["name"]
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
            raise CommandError(
                f"{name!r} cannot be the name of a module: take lower-case letters, digits and _, "
                "as in live_prices; the app is said with --app"
            )
        if find_spec("pydantic") is None:
            raise CommandError(
                "the gateway says of which types its events are, which needs pydantic: "
                "pip install arcly-channels[typed]"
            )
        app = _app(options["app"])
        scaffold = Scaffold(name, app.name, app.label)
        try:
            changes = scaffold.changes(
                Path(app.path), _file_of(_asgi()), _file_of(settings.ROOT_URLCONF)
            )
        except FileExistsError as error:
            raise CommandError(f"{error.filename} is there already; nothing was written") from None
        for path, text in changes.files.items():
            self._tell("changed" if path.exists() else "created", path)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        for each in changes.by_hand:
            self._ask(each)
        self.stdout.write(f"Start the server and open /{scaffold.url}/ in two windows.")

    def _tell(self, what: str, path: Path) -> None:
        self.stdout.write(f"{what}  {_from_here(path)}")

    def _ask(self, addition: Addition) -> None:
        file = _from_here(addition.file)
        self.stdout.write(self.style.WARNING(f"\nAdd to {file}, by hand:\n"))
        self.stdout.write(addition.code)


def _from_here(path: Path) -> Path:
    """Return a path as people write it who are in this folder."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _app(label: str | None) -> AppConfig:
    """Return the app that is meant; raise `CommandError` where none is."""
    project = settings.ROOT_URLCONF.partition(".")[0]
    found = [each for each in apps.get_app_configs() if label in (each.label, each.name)]
    found = found or [each for each in apps.get_app_configs() if not label and each.name == project]
    if found:
        return found[0]
    own = [each.label for each in apps.get_app_configs() if _is_own(each)]
    raise CommandError(
        f"{label or project!r} is no installed app: say --app with one of "
        f"{', '.join(own) or 'INSTALLED_APPS'}, or put {label or project!r} into INSTALLED_APPS"
    )


def _is_own(app: AppConfig) -> bool:
    """Return whether an app is the project's, as far as its place shows."""
    return "site-packages" not in Path(app.path).parts


def _asgi() -> str:
    """Return the name of the project's ASGI module, which the settings need not have yet."""
    application: str | None = getattr(settings, "ASGI_APPLICATION", None)
    if application:
        return application.rpartition(".")[0]
    return settings.ROOT_URLCONF.partition(".")[0] + ".asgi"


def _file_of(module: str) -> Path:
    """Return the file of a module, without importing it; raise `CommandError` if there is none."""
    try:
        found = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        found = None
    if found is None or found.origin is None:
        raise CommandError(f"the project has no module {module}, which serves its pages or sockets")
    return Path(found.origin)
