"""The test kit where pytest is a program: on a live server, and out of the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers import ROOT, run

DEADLINE = 120.0
PROJECT = ROOT / "tests" / "integration" / "kit_project"


def ran(*arguments: str, cwd: Path = ROOT, **environment: str) -> str:
    """Run pytest as a program; return what it wrote, or raise with it where a test has failed."""
    options = ("-m", "pytest", "-q", "-p", "no:cacheprovider")
    environment = {"PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": "", **environment}
    return run(*options, *arguments, environment=environment, cwd=cwd, timeout=DEADLINE)


def test_live_server_serves_the_project_of_its_tests() -> None:
    settings = "tests.integration.kit_project.settings"
    ini, tests = str(PROJECT / "pytest.ini"), str(PROJECT / "live.py")
    assert "11 passed" in ran("-c", ini, tests, DJANGO_SETTINGS_MODULE=settings)


OUTSIDE = """
import os
import sys
import pytest

def test_nothing_is_imported(pytestconfig):
    is_there = pytestconfig.pluginmanager.has_plugin("pytest_arcly_channels")
    assert is_there is (os.environ["PLUGIN"] == "on")
    assert not {"arcly_channels", "channels", "django"} & sys.modules.keys()

@pytest.mark.skipif(os.environ["PLUGIN"] == "off", reason="there is no such fixture")
def test_fixture_says_what_it_needs(request):
    with pytest.raises(Exception, match="settings are not configured"):
        request.getfixturevalue("gateway_layer")
"""


@pytest.mark.parametrize(("plugin", "outcome"), [("on", "2 passed"), ("off", "1 passed, 1 skip")])
def test_plugin_is_out_of_the_way_of_a_project_without_django_and_asyncio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plugin: str, outcome: str
) -> None:
    monkeypatch.delenv("DJANGO_SETTINGS_MODULE")
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    (tmp_path / "test_it.py").write_text(OUTSIDE)
    without = ["asyncio", "django", *(["arcly_channels"] if plugin == "off" else [])]
    options = [option for each in without for option in ("-p", f"no:{each}")]
    assert outcome in ran(*options, cwd=tmp_path, PLUGIN=plugin)
