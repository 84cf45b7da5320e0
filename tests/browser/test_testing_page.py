"""The page about tests: those on it pass, with a browser and without, on the tutorial's chat."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.documents import DOCS, build_project
from tests.servers import ROOT, require, run

CONFTEST = """
import os
import pytest
from tests.browser.conftest import launched

os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"

@pytest.fixture
def page():
    with launched() as browser:
        yield browser.new_page()
"""


def test_tests_on_the_page_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require("chromium")
    text = [
        (DOCS / page).read_text(encoding="utf-8") for page in ("tutorial.md", "how-to/testing.md")
    ]
    project = build_project("".join(text), tmp_path)
    (project / "conftest.py").write_text(CONFTEST)
    monkeypatch.setenv("PYTHONPATH", f"{project}:{ROOT}")
    of_layers = "not test_layer or test_group_message"  # All of them run with our own layers.
    options = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", of_layers, "mysite")
    environment = {"DJANGO_SETTINGS_MODULE": "mysite.settings"}
    told = run(*options, environment=environment, cwd=project, timeout=120)
    assert "15 passed" in told
