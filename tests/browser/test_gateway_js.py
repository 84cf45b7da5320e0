"""`gateway.js` by itself: its tests under Node, and as a package of npm."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import arcly_channels
from tests.node import CLIENT, JS, bundle, packages, require_node, run

FILES = sorted(JS.glob("*.test.js"))
VERSION = re.compile(r"(\d+\.\d+\.\d+)(?:\.?(a|b|rc|dev)(\d+))?")
"""A version as Python spells it: 0.1.0, 0.1.0rc1, or 0.1.0.dev0."""

PROGRAM = """
import { Gateway, GatewayError, Room } from "arcly-channels";
const gateway = new Gateway("wss://example.com/ws/");
const isRoom = gateway.join("tea") instanceof Room;
console.log(gateway.state, isRoom, new GatewayError("closed", "") instanceof Error);
"""


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name.removesuffix(".test.js"))
def test_client_does_what_its_tests_say(file: Path) -> None:
    require_node()
    run("node", "--test", "--test-reporter=spec", str(file))


def test_tests_of_the_client_are_found() -> None:
    assert len(FILES) >= 10


def test_client_has_the_version_of_the_package() -> None:
    package = json.loads((CLIENT / "package.json").read_text())
    assert package["version"] == npm_version(arcly_channels.__version__)


@pytest.mark.parametrize(
    ("python", "npm"),
    [("0.1.0.dev0", "0.1.0-dev.0"), ("1.2.0rc1", "1.2.0-rc.1"), ("1.2.0", "1.2.0")],
)
def test_version_is_spelt_as_npm_wants_it(python: str, npm: str) -> None:
    assert npm_version(python) == npm


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of npm that has the client installed, from its package."""
    packages()
    directory = tmp_path_factory.mktemp("project")
    (directory / "package.json").write_text('{"private": true, "type": "module"}')
    (directory / "program.js").write_text(PROGRAM)
    made = run("npm", "pack", "--json", "--pack-destination", str(directory), str(CLIENT))
    [package] = json.loads(made)
    run("npm", "install", "--offline", "--no-audit", f"./{package['filename']}", cwd=directory)
    return directory


def test_package_has_the_modules_their_types_and_nothing_else(project: Path) -> None:
    installed = project / "node_modules" / "arcly-channels"
    assert {each.name for each in installed.iterdir()} == {
        "event-stream.d.ts",
        "event-stream.js",
        "gateway.d.ts",
        "gateway.js",
        "package.json",
    }


def test_package_is_imported_by_node(project: Path) -> None:
    assert run("node", "program.js", cwd=project) == "idle true true\n"


def test_package_is_bundled(project: Path) -> None:
    bundle(project / "program.js", project / "bundle.mjs")
    assert run("node", "bundle.mjs", cwd=project) == "idle true true\n"


def test_bundler_leaves_out_what_is_imported_and_not_used(project: Path) -> None:
    (project / "unused.js").write_text('import "arcly-channels";\nconsole.log("only this");\n')
    bundle(project / "unused.js", project / "unused.mjs")
    assert "arcly.v1" not in (project / "unused.mjs").read_text()


def npm_version(version: str) -> str:
    """Spell a version of Python as npm does."""
    match = VERSION.fullmatch(version)
    assert match is not None, version
    release, phase, number = match.groups()
    return f"{release}-{phase}.{number}" if phase else release
