"""What `startgateway` writes: new files from templates, and a line or two in old ones."""

from __future__ import annotations

import dataclasses
import re
from errno import EEXIST
from pathlib import Path
from string import Template

from arcly_channels.management.editing import Unclear, with_import, with_item

TEMPLATES = Path(__file__).parent / "startgateway"


@dataclasses.dataclass(frozen=True)
class Addition:
    """Code that somebody has to put into a file, which does not look as it usually does."""

    file: Path
    code: str


@dataclasses.dataclass
class Changes:
    """What there is to write, before anything is written."""

    files: dict[Path, str] = dataclasses.field(default_factory=dict)
    by_hand: list[Addition] = dataclasses.field(default_factory=list)


class Scaffold:
    """A gateway called `name`, in the app of the package `package` and of this label."""

    def __init__(self, name: str, package: str, label: str) -> None:
        self.url = name.replace("_", "-")
        self._package = package
        self._words = {
            "name": name,
            "url": self.url,
            "title": name.replace("_", " ").capitalize(),
            "gateway": "".join(part.capitalize() for part in name.split("_")) + "Gateway",
            "package": package,
            "label": label,
        }

    def changes(self, app: Path, asgi: Path, urls: Path) -> Changes:
        """Return what to write for an app in a folder, and into the project's two files.

        Raises `FileExistsError` for a file that would be written over.
        """
        name, label = self._words["name"], self._words["label"]
        new = {
            app / "gateways" / f"{name}.py": "gateway.py-tpl",
            app / "templates" / label / f"{name}.html": "page.html-tpl",
            app / f"test_{name}_gateway.py": "test.py-tpl",
        }
        for path in (*new, app / "gateways.py"):  # Which our package of that name would hide.
            if path.exists():
                raise FileExistsError(EEXIST, "is there already", str(path))
        changes = Changes({path: self._filled(template) for path, template in new.items()})
        package = app / "gateways" / "__init__.py"
        if not package.exists():
            changes.files[package] = self._filled("gateways.py-tpl")
        self._add_route(changes, app / "routing.py")
        self._add_page(changes, urls)
        self._add_sockets(changes, asgi)
        return changes

    def _add_route(self, changes: Changes, routing: Path) -> None:
        if not routing.exists():
            changes.files[routing] = self._filled("routing.py-tpl")
            return
        module = "{package}.gateways.{name}".format(**self._words)
        route = 'path("ws/{url}/", {gateway}.as_asgi())'.format(**self._words)
        names = {module: self._words["gateway"], "django.urls": "path"}
        self._edit(changes, routing, names, "websocket_urlpatterns", route)

    def _add_page(self, changes: Changes, urls: Path) -> None:
        view = 'TemplateView.as_view(template_name="{label}/{name}.html")'.format(**self._words)
        names = {"django.urls": "path", "django.views.generic": "TemplateView"}
        route = f'path("{self.url}/", {view})'
        self._edit(changes, urls, names, "urlpatterns", route)

    def _add_sockets(self, changes: Changes, asgi: Path) -> None:
        text, module = asgi.read_text(encoding="utf-8"), f"{self._package}.routing"
        if re.search(rf"(?<![\w.]){re.escape(module)}\b", text):
            return
        if "ProtocolTypeRouter" in text:
            # A name of its own: that of another app, imported before, would be hidden by it.
            routes = f"{self._words['label']}_websockets"
            addition = (
                f"from {module} import websocket_urlpatterns as {routes}\n\n"
                f"*{routes},  # Into the list that URLRouter is given, before what catches all.\n"
            )
            changes.by_hand.append(Addition(asgi, addition))
        else:
            changes.files[asgi] = f"{text.rstrip()}\n\n{self._filled('asgi.py-tpl')}"

    def _edit(
        self, changes: Changes, file: Path, names: dict[str, str], variable: str, item: str
    ) -> None:
        """Add an item to a list in a file, and the imports for it."""
        text = file.read_text(encoding="utf-8")
        try:
            text = with_item(text, variable, item)
            for module, name in names.items():
                text = with_import(text, module, name)
        except Unclear:
            imports = [f"from {module} import {name}" for module, name in names.items()]
            changes.by_hand.append(
                Addition(file, "\n".join([*imports, "", f"{variable}: {item}", ""]))
            )
        else:
            changes.files[file] = text

    def _filled(self, template: str) -> str:
        return Template((TEMPLATES / template).read_text(encoding="utf-8")).substitute(self._words)
