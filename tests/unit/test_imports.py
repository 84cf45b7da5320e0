"""Imports point one way, the core is free of frameworks, and each library has one door."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import arcly_channels

PACKAGE = Path(arcly_channels.__file__).parent

ORDER = [
    {"_version", "exceptions", "close_codes", "fork", "logs", "reasons"},
    {"wire.blame", "wire.envelope"},
    {"fanout"},
    {"registry"},
    {"conf"},
    {"rooms"},
    {"wire"},
    {"transports"},
    {"relay"},
    {"layers"},
    {"identity.handshake", "identity.claims"},
    {"identity.tokens"},
    {"identity.verifier"},
    {"identity"},
    {"session"},
    {"gateway"},
    {"metrics"},
    {"admin", "apps", "asgi", "checks", "urls", "views", "testing", "management", "templatetags"},
    {"arcly_channels"},
]
"""The parts of the package; each imports from those before it and from its own line."""

CORE = {"exceptions", "close_codes", "fork", "wire.blame", "wire.envelope", "fanout", "registry"}
WITH_LOOPS = {"pump.py", "pacing.py", "schedule.py"}
"""The files of the core that may import asyncio."""

ONE_DOOR = [
    {"prometheus_client", "django_prometheus"},
    {"daphne", "twisted", "autobahn"},
    {"redis"},
    {"hiredis"},
    {"msgpack"},
    {"cryptography"},
    {"jwt"},
    {"pydantic", "pydantic_core"},
]

FILES = sorted(PACKAGE.rglob("*.py"))


def part_of(file: Path) -> str:
    """Return the part that a file belongs to: a module or a folder of the package."""
    path = [each.removesuffix(".py") for each in file.relative_to(PACKAGE).parts]
    return "arcly_channels" if path == ["__init__"] else part_named(path)


def part_named(path: list[str]) -> str:
    """Return the part that a module is in; one that stands in `ORDER` by itself is its own."""
    module = ".".join(path[:2])
    return module if any(module in line for line in ORDER) else path[0]


def imports(file: Path) -> Iterator[str]:
    """Yield the full name of everything that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file} has a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rank(part: str) -> int:
    return next(number for number, line in enumerate(ORDER) if part in line)


def name_of(file: Path) -> str:
    return str(file.relative_to(PACKAGE))


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_every_part_has_its_place(file: Path) -> None:
    assert any(part_of(file) in line for line in ORDER)


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_imports_point_one_way(file: Path) -> None:
    for name in imports(file):
        package, *path = name.split(".")
        if package == "arcly_channels":
            assert rank(part_named(path)) <= rank(part_of(file)), f"{name} in {file}"


@pytest.mark.parametrize("file", [file for file in FILES if part_of(file) in CORE], ids=name_of)
def test_core_is_free_of_frameworks_and_event_loops(file: Path) -> None:
    allowed = sys.stdlib_module_names | {"arcly_channels", "orjson"}
    if file.name not in WITH_LOOPS:
        allowed -= {"asyncio"}
    assert {name.split(".")[0] for name in imports(file)} <= allowed


@pytest.mark.parametrize("library", ONE_DOOR, ids=lambda library: min(library))
def test_library_is_imported_by_one_file_at_most(library: set[str]) -> None:
    doors = [
        name_of(file)
        for file in FILES
        if not library.isdisjoint(name.split(".")[0] for name in imports(file))
    ]
    assert len(doors) <= 1
