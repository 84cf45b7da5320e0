"""A release: what its how-to does, what is in the files that it makes, and that they work."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from contextlib import suppress
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import NamedTuple
from zipfile import ZipFile

import pytest

from tests.documents import DOCS, blocks, section
from tests.integration import quickstart
from tests.servers import ROOT, require, run

HOW_TO = DOCS / "how-to" / "release.md"
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "node_modules")
"""What is large where somebody works; git leaves out the rest that is not the project."""

MADE = {"PKG-INFO", "setup.cfg"}
"""What a source distribution has beside the project's files, and `*.egg-info`."""

PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")


class Release(NamedTuple):
    """A copy of the project after the how-to, and what that built."""

    project: Path
    wheel: Path
    sdist: Path

    def in_wheel(self) -> set[str]:
        with ZipFile(self.wheel) as archive:
            return {name for name in archive.namelist() if ".dist-info/" not in name}

    def in_sdist(self) -> set[str]:
        with tarfile.open(self.sdist) as archive:
            names = (member.name.partition("/")[2] for member in archive if member.isfile())
            return {name for name in names if ".egg-info/" not in name} - MADE

    def metadata(self) -> Message:
        with ZipFile(self.wheel) as archive:
            name = next(name for name in archive.namelist() if name.endswith("/METADATA"))
            return Parser().parsestr(archive.read(name).decode())


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Follow the how-to in a copy of the project, up to where it uploads."""
    require("git", "make", "bash")
    project = tmp_path_factory.mktemp("release") / "project"
    shutil.copytree(ROOT, project, ignore=LEFT_OUT)
    shell(project, "git init --quiet")
    with suppress(FileNotFoundError):  # A source distribution has none, and nothing to ignore.
        shutil.copy(ROOT / ".gitignore", project / ".git" / "info" / "exclude")
    shell(project, "git add --all", "git commit --quiet --message Everything")
    shell(
        project, *blocks(section(HOW_TO, "Name"), "bash"), *blocks(section(HOW_TO, "Build"), "bash")
    )
    (wheel,), (sdist,) = project.glob("dist/*.whl"), project.glob("dist/*.tar.gz")
    return Release(project, wheel, sdist)


def shell(project: Path, *commands: str) -> str:
    """Run commands in the project, and return what they write.

    Its `make` takes the environment that runs the tests.
    """
    make = f'make() {{ command make --old-file="{sys.prefix}/.ready" VENV="{sys.prefix}" "$@"; }}'
    names = {
        f"GIT_{who}_{what}": "t@example.com"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    done = subprocess.run(
        ["bash", "-euc", "\n".join([make, *commands])],
        cwd=project,
        env={**os.environ, **names, "GIT_CONFIG_GLOBAL": os.devnull},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files_of(directory: Path, start: Path) -> set[str]:
    return {str(path.relative_to(start)) for path in directory.rglob("*") if path.is_file()}


def test_release_is_named_in_its_files_its_changelog_and_its_tag(release: Release) -> None:
    version = str(release.metadata()["Version"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
    assert release.wheel.name == f"arcly_channels-{version}-py3-none-any.whl"
    assert release.sdist.name == f"arcly_channels-{version}.tar.gz"
    head = rf"## \[Unreleased\]\n\n## \[{version}\] - \d{{4}}-\d\d-\d\d\n\n### "
    assert re.search(head, (release.project / "CHANGELOG.md").read_text())
    assert f'"{version}"' in shell(
        release.project, f"git show v{version}:arcly_channels/_version.py"
    )


def test_work_goes_on_with_the_next_version(release: Release) -> None:
    shell(release.project, *blocks(section(HOW_TO, "Go on"), "bash"))
    shell(release.project, 'grep -q "\\.dev0\\"$" arcly_channels/_version.py', "git diff --quiet")


def test_wheel_is_the_package_and_nothing_else(release: Release) -> None:
    package = files_of(release.project / "arcly_channels", release.project)
    assert release.in_wheel() == package | {"pytest_arcly_channels.py"}


def test_source_distribution_is_the_whole_project(release: Release) -> None:
    assert release.in_sdist() == {*shell(release.project, "git ls-files").split()} - MADE


def test_page_on_an_index_leads_nowhere_that_is_not_there(release: Release) -> None:
    page = release.metadata().get_payload()
    assert isinstance(page, str)
    assert "## Quickstart" in page
    assert all(link.startswith("https://") for link in re.findall(r"\]\(([^)]*)\)", page))


def test_tests_are_installed_with_every_extra(release: Release) -> None:
    extras = release.metadata().get_all("Provides-Extra", [])
    assert f"-e .[{','.join(extras)}]" in (ROOT / "requirements.txt").read_text()


def test_quickstart_runs_on_the_wheel(release: Release, tmp_path: Path) -> None:
    with ZipFile(release.wheel) as archive:
        archive.extractall(tmp_path / "installed")
    environment = {"PYTHONPATH": str(tmp_path / "installed")}
    where = run(
        "-c",
        "import arcly_channels; print(arcly_channels.__file__)",
        environment=environment,
        cwd=tmp_path,
    )
    assert where.startswith(str(tmp_path))
    quickstart.follow(tmp_path / "site", **environment)


@pytest.mark.long
def test_quickstart_runs_in_an_empty_environment(release: Release, tmp_path: Path) -> None:
    run("-m", "venv", "--without-pip", str(tmp_path / "empty"))
    python = str(tmp_path / "empty" / "bin" / "python")
    wheel = f"{release.wheel}[daphne,prometheus]"
    subprocess.run([*PIP, "--python", python, "install", "--quiet", wheel], check=True)
    quickstart.follow(tmp_path / "site", python, PYTHONPATH="")


@pytest.mark.long
def test_all_extras_can_be_installed_side_by_side(release: Release) -> None:
    extras = ",".join(release.metadata().get_all("Provides-Extra", []))
    command = (*PIP, "install", "--quiet", "--dry-run", "--ignore-installed")
    subprocess.run([*command, f"{release.wheel}[{extras}]"], check=True)
