"""What is in the documentation, read so that tests can run it and compare it with the code."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from django.core.management import call_command

from tests.servers import ROOT, run

README = ROOT / "README.md"
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_STARTED = re.compile(r"python (manage\.py startgateway .+)")
_FILE = re.compile(r"(?:#|//|<!--) (\w[\w/]*\.\w+)(, at the end)?(?: -->)?\n")


def section(document: Path, heading: str) -> str:
    """Return what stands under a heading, up to the next of the same rank or a higher one."""
    found, rank, is_code = [], 0, False
    for line in document.read_text(encoding="utf-8").splitlines(keepends=True):
        is_code ^= line.startswith("```")
        marks, _, title = line.strip().partition(" ")
        is_heading = not is_code and marks != "" and set(marks) == {"#"}
        if is_heading and rank and len(marks) <= rank:
            break
        if rank:
            found.append(line)
        elif is_heading and title == heading:
            rank = len(marks)
    if not rank:
        raise LookupError(f"{document.name} has no heading {heading!r}")
    return "".join(found)


def blocks(text: str, language: str) -> list[str]:
    """Return the code blocks of one language."""
    return [code for name, code in snippets(text) if name == language]


def snippets(text: str) -> list[tuple[str, str]]:
    """Return all code blocks, each after its language, in their order."""
    return _FENCE.findall(text)


def table(text: str) -> list[dict[str, str]]:
    """Return the rows of the one table in `text`, by column, without backquotes."""
    rows = [
        [cell.strip().strip("`") for cell in line.strip("| ").replace("||", "| |").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    head, _, *body = rows
    return [dict(zip(head, row, strict=True)) for row in body]


def build_project(text: str, directory: Path) -> Path:
    """Start a Django project called `mysite`, and write the code blocks of `text` into its files.

    A block that begins with a comment such as `# mysite/urls.py` is the file, or its end where the
    comment says so. Gateways are started where a block of the console says that.
    """
    directory.mkdir(exist_ok=True)
    call_command("startproject", "mysite", str(directory))  # A process of its own takes longer.
    settings = {"DJANGO_SETTINGS_MODULE": "mysite.settings"}
    for language, code in snippets(text):
        write_file(code, directory)
        if language == "console" and (started := _STARTED.search(code)):
            run(*started[1].split(), environment=settings, cwd=directory)
    return directory


def write_file(code: str, directory: Path) -> None:
    """Write the file that a code block is, or its end, if it is one."""
    name = _FILE.match(code)
    if name is not None:
        path = directory / name[1]
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a" if name[2] else "w", encoding="utf-8") as file:
            file.write(code)


def apply_diff(diff: str, directory: Path) -> None:
    """Apply a unified diff to the files of a directory; raise if a line of it does not fit."""
    command = ("git", "apply", "--whitespace=nowarn", "-")
    subprocess.run(command, cwd=directory, input=diff, text=True, check=True)
