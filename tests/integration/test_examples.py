"""The examples: they pass their own tests, and are as short as they are said to be."""

from __future__ import annotations

import pytest

from tests.servers import ROOT, run

EXAMPLES = ROOT / "examples"
NAMES = ("auction", "cursors", "dashboard", "notifications", "progress")
LINES = 80


def test_examples_pass_their_own_tests() -> None:
    environment = {"DJANGO_SETTINGS_MODULE": "examples.settings"}
    run("-m", "examples", "test", "examples", environment=environment)


@pytest.mark.parametrize("name", NAMES)
def test_example_is_short(name: str) -> None:
    code = [(EXAMPLES / file).read_text(encoding="utf-8") for file in files(name)]
    assert sum(len(each.splitlines()) for each in code) < LINES


@pytest.mark.parametrize("name", NAMES)
def test_page_of_the_examples_shows_each_file(name: str) -> None:
    page = (EXAMPLES / "README.md").read_text(encoding="utf-8").splitlines()
    assert {f"[{file}]({file})" for file in files(name)} <= {*page}


def files(name: str) -> set[str]:
    """Return what an example is made of: its Python, and its page."""
    found = {str(path.relative_to(EXAMPLES)) for path in EXAMPLES.rglob(f"*{name}.*")}
    assert {f"{name}.py", f"{name}.html"} <= found
    return {file for file in found if not file.endswith(".pyc")}
