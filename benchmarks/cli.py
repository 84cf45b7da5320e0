"""The command line that every benchmark has."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from .results import DIRECTORY, Result


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--quick", action="store_true", help="a tiny size: shows that it works, measures nothing"
    )
    parser.add_argument(
        "--results",
        type=Path,
        help="where the JSON goes (default: benchmarks/results; none if quick)",
    )
    return parser.parse_args()


def finish(result: Result, chosen: argparse.Namespace) -> None:
    """Print the result and, unless nothing real was measured, write it down."""
    result.print(bars=not chosen.quick)
    directory = chosen.results or (None if chosen.quick else DIRECTORY)
    if directory is not None:
        result.write(directory)


def main(run: Callable[[bool], Result]) -> None:
    chosen = options()
    finish(run(chosen.quick), chosen)
