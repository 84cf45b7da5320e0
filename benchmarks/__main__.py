"""Runs every benchmark in a process of its own, then renders the report."""

from __future__ import annotations

import subprocess
import sys
import time

from .cli import options
from .report import ORDER


def main() -> int:
    """The number of failures. Quick runs and results elsewhere render nothing."""
    chosen = options()
    arguments = ["--quick"] * chosen.quick + (
        ["--results", str(chosen.results)] if chosen.results else []
    )
    failed = []
    started = time.monotonic()
    for name in ORDER:
        if subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}", *arguments], check=False
        ).returncode:
            failed.append(name)
    seconds = time.monotonic() - started
    print(f"\n{len(ORDER)} benchmarks in {seconds:.0f} s; failed: {', '.join(failed) or 'none'}")
    if not arguments:
        subprocess.run([sys.executable, "-m", "benchmarks.report"], check=True)
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
