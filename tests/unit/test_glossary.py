"""One meaning per word: no type has two definitions, and the glossary's words are in the code."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import arcly_channels
from tests.documents import DOCS, section

PACKAGE = Path(arcly_channels.__file__).parent


def types_of(module: ast.Module) -> Iterator[str]:
    """Yield the public names of the classes and type aliases that a module defines at its top."""
    for node in module.body:
        if isinstance(node, ast.ClassDef):
            name = node.name
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id if is_type(node.value) else ""
        elif isinstance(node, ast.AnnAssign) and "TypeAlias" in ast.unparse(node.annotation):
            name = ast.unparse(node.target)
        else:
            continue
        if name and not name.startswith("_"):
            yield name


def is_type(value: ast.expr) -> bool:
    """Return whether what is assigned is a type: `Callable[…]`, `int | str`, a `TypeVar`."""
    if isinstance(value, ast.Subscript):
        return isinstance(value.value, ast.Name) and value.value.id[0].isalpha()
    return isinstance(value, ast.BinOp) and isinstance(value.op, ast.BitOr)


def definitions() -> dict[str, list[str]]:
    """Return the files in which each type is defined."""
    found = defaultdict(list)
    for file in sorted(PACKAGE.rglob("*.py")):
        for name in types_of(ast.parse(file.read_text(encoding="utf-8"))):
            found[name].append(str(file.relative_to(PACKAGE)))
    return found


def words() -> list[str]:
    page = DOCS / "explanation" / "architecture.md"
    return re.findall(r"\*\*([\w ]+)\*\*", section(page, "One meaning per word"))


def test_types_are_found() -> None:
    source = (
        "class A(Protocol): ...\nB = Callable[[int], str]\nC = int | None\nD: TypeAlias = int\n"
    )
    assert list(types_of(ast.parse(source + "e = 1\nF = 'text'\n_G = list[int]"))) == list("ABCD")


def test_no_type_has_two_definitions() -> None:
    found = {name: files for name, files in definitions().items() if len(files) > 1}
    assert set(found) <= {"Command"}  # As Django wants it.


@pytest.mark.parametrize("word", words())
def test_word_of_the_glossary_is_used_in_the_package(word: str) -> None:
    code = "".join(file.read_text(encoding="utf-8") for file in PACKAGE.rglob("*.py"))
    assert re.search(rf"(?<![a-z]){word}", code, re.IGNORECASE)
