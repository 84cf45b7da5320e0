"""Sites that are built from the documentation, and pages of them in Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.documents import apply_diff, build_project
from tests.node import installed
from tests.servers import Server

if TYPE_CHECKING:
    from playwright.sync_api import Page

Open = Callable[[str], "Page"]
"""Opens an address in a browser of its own, and returns the page."""


@contextmanager
def site(directory: Path, text: str, *modules: str, diffs: Sequence[str] = ()) -> Iterator[Server]:
    """Serve the project that is in `text` by Daphne, with files of npm packages among its own.

    The diffs are applied to it before.
    """
    static = build_project(text, directory) / "mysite" / "static"
    for diff in diffs:
        apply_diff(diff, directory)
    static.mkdir(exist_ok=True)
    for module in modules:
        shutil.copy(installed(module), static)
    arguments = ("manage.py", "runserver", "--noreload", "{port}")
    environment = {"DJANGO_SETTINGS_MODULE": "mysite.settings"}
    with Server(*arguments, directory=directory, environment=environment, cwd=directory) as server:
        yield server
    assert "Traceback" not in server.log.read_text()
