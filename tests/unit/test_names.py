"""One meaning per word: a name of a type is defined once in the package."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import arcly_channels

PACKAGE = Path(arcly_channels.__file__).parent

WITH_TWO_MEANINGS = {"Claims", "Message", "Transport"}
"""Those that still have to be parted. This set only shrinks."""


def types(file: Path) -> Iterator[str]:
    """Yield the public classes and aliases that a file defines: what looks like a type."""
    for node in ast.parse(file.read_text()).body:
        names = [node] if isinstance(node, ast.ClassDef) else getattr(node, "targets", [])
        for each in names:
            name = each.name if isinstance(each, ast.ClassDef) else getattr(each, "id", "")
            if name[:1].isupper() and not name.isupper():
                yield name


def test_a_type_name_is_defined_once() -> None:
    counts = Counter(name for file in PACKAGE.rglob("*.py") for name in types(file))
    assert {name for name, count in counts.items() if count > 1} <= WITH_TWO_MEANINGS
