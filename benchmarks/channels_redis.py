"""channels_redis in a virtual environment of its own: it needs a redis-py older than ours.

The environment is made when it is first asked for. All other packages are those that run the
benchmark: only what is installed there hides what is here.
"""

from __future__ import annotations

import fcntl
import subprocess
import sys
import sysconfig
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

DIRECTORY = Path(__file__).parents[1] / ".venv-channels-redis"
PYTHON = DIRECTORY / "bin" / "python"
PACKAGES = ("channels-redis>=4.3,<5", "redis>=5,<8")
"""With redis-py 8, what channels_redis 4.3 waits for can end in a time-out."""
_READY = DIRECTORY / ".ready"
_DEADLINE = 120.0


@cache
def missing() -> str | None:
    """Why channels_redis cannot run here, or None; makes its environment if there is none."""
    with Path(__file__).open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # Tests run side by side, and one of them is to make it.
        return _find_or_make()


def _find_or_make() -> str | None:
    wanted = "\n".join([sys.version, sysconfig.get_path("purelib"), *PACKAGES])
    if _READY.exists() and _READY.read_text() == wanted:
        return None
    try:
        _make()
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        return f"no environment for channels_redis: {said.strip().splitlines()[-1]}"
    _READY.write_text(wanted)
    return None


def versions() -> dict[str, str]:
    """What is installed there and not here."""
    site = str(_site())
    return {
        f"{each.name} (channels_redis)" if each.name == "redis" else each.name: each.version
        for each in distributions(path=[site])
    }


def _make() -> None:
    _run("-m", "venv", "--clear", "--without-pip", str(DIRECTORY))
    # Before the others can be seen, as pip would take those for what is already there.
    _run("-m", "pip", "--python", str(PYTHON), "install", "--quiet", "--no-deps", *PACKAGES)
    (_site() / "benchmarks.pth").write_text(sysconfig.get_path("purelib") + "\n")


def _site() -> Path:
    major, minor = sys.version_info[:2]
    return DIRECTORY / "lib" / f"python{major}.{minor}" / "site-packages"


def _run(*arguments: str) -> None:
    subprocess.run(
        [sys.executable, *arguments], check=True, capture_output=True, text=True, timeout=_DEADLINE
    )
