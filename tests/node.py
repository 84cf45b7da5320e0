"""Node and npm, for what is tested outside of a browser."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

from tests.servers import ROOT, require, skip_for_want_of

JS = ROOT / "tests" / "js"
CLIENT = ROOT / "arcly_channels" / "static" / "arcly_channels"
BUNDLE = ("--bundle", "--jsx=automatic", "--format=esm")
OLDEST = 20
DEADLINE = 300.0
"""Seconds for what is done by Node or npm; each takes far less, also on a busy machine."""


def require_node() -> None:
    """Skip the test where there is no Node, or one that is too old."""
    if shutil.which("node") is None:
        skip_for_want_of("node")
    version = run("node", "--version")
    if int(version.lstrip("v").partition(".")[0]) < OLDEST:
        skip_for_want_of(f"node {OLDEST}, for {version.strip()},")


def packages() -> Path:
    """Return where the packages of tests/js are; they are installed if that was not done yet."""
    require_node()
    require("npm", "make")
    ready = JS / "node_modules" / ".ready"
    with (JS / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # Tests run side by side, and npm must not.
        run("make", "--silent", str(ready.relative_to(ROOT)))
    return ready.parent


def installed(file: str) -> Path:
    """Return a file of the packages of tests/js."""
    return packages() / file


def bundle(source: Path, target: Path) -> None:
    """Put a script and all that it imports into one file."""
    esbuild = installed("esbuild/bin/esbuild")
    command = (str(esbuild), source.name, *BUNDLE, "--log-level=error", f"--outfile={target}")
    run(*command, cwd=source.parent, environment={"NODE_PATH": str(packages())})


def run(*command: str, cwd: Path = ROOT, environment: dict[str, str] | None = None) -> str:
    """Run a program to its end, and return what it wrote; fail with that if it fails."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    if done.returncode:
        raise AssertionError(f"{command} failed:\n{done.stdout}{done.stderr}")
    return done.stdout
