"""Sites that are built from the documentation, and pages of them in Chromium."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.documents import build_project
from tests.servers import ROOT, Server, require, skip_for_want_of

if TYPE_CHECKING:
    from playwright.sync_api import Page

MODULES = ROOT / "tests" / "js" / "node_modules"

Open = Callable[[str], "Page"]
"""Opens an address in a browser of its own, and returns the page."""


@contextmanager
def site(directory: Path, text: str, *modules: str) -> Iterator[Server]:
    """Serve the project that is in `text` by Daphne, with files of npm packages among its own."""
    static = build_project(text, directory) / "mysite" / "static"
    static.mkdir(exist_ok=True)
    for module in modules:
        shutil.copy(installed(module), static)
    arguments = ("manage.py", "runserver", "--noreload", "{port}")
    environment = {"DJANGO_SETTINGS_MODULE": "mysite.settings"}
    with Server(*arguments, directory=directory, environment=environment, cwd=directory) as server:
        yield server
    assert "Traceback" not in server.log.read_text()


def bundle(source: Path, target: Path) -> None:
    """Bundle a script and what it imports, as the documentation has it."""
    esbuild = installed("esbuild/bin/esbuild")
    options = ("--bundle", "--jsx=automatic", "--format=esm", f"--outfile={target}")
    done = subprocess.run(
        [str(esbuild), source.name, *options],
        cwd=source.parent,
        env={**os.environ, "NODE_PATH": str(MODULES)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def installed(module: str) -> Path:
    """Return a file of the npm packages that the tests use; skip where they are not there."""
    require("node")
    file = MODULES / module
    if not file.exists():
        skip_for_want_of(f"{module.partition('/')[0]} (make {MODULES.relative_to(ROOT)}/.ready)")
    return file
