"""Renders the results: the table between two markers of the README, and the charts in docs/.

Run by hand: `python -m benchmarks.report [--results DIR] [--readme FILE] [--docs DIR]`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from . import charts, peers
from .results import DIRECTORY, SPREAD, number

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
ORDER = ("fanout", "bursts", "stalled", "flood", "latency", "loop_delay", "idle", "layer", "offer")
_NAMED = ("django", "channels", "daphne", "uvicorn", "uvloop", "websockets", "python-socketio")


def load(directory: Path) -> dict[str, dict[str, Any]]:
    """The results that are there, in the order of the report."""
    paths = {name: directory / f"{name}.json" for name in ORDER}
    return {name: json.loads(path.read_text()) for name, path in paths.items() if path.exists()}


def table(results: dict[str, dict[str, Any]]) -> str:
    """Markdown: one row a comparison, and below it where and when that was measured."""
    rows = ["| measure | ours | peer | ratio: median (range) |", "|---|---|---|---|"]
    for result in results.values():
        compared = {
            (entry["measure"], entry["subject"]) for entry in result["comparisons"] if entry["peer"]
        }
        for entry in result["comparisons"]:
            if entry["peer"] or (entry["measure"], entry["subject"]) not in compared:
                rows.append(_row(entry))
    return "\n".join(rows) + "\n\n" + _provenance(results)


def _row(entry: dict[str, Any]) -> str:
    ours = f"{entry['subject']}: {number(entry['subject_spread']['median'])}"
    peer = ratio = ""
    if entry["peer"]:
        peer = f"{entry['peer']}: {number(entry['peer_spread']['median'])}"
        middle, low, high = (number(entry["ratio"][key]) for key in SPREAD)
        ratio = f"**{middle}x** ({low} to {high})"
    return f"| {entry['measure']} ({entry['unit']}) | {ours} | {peer} | {ratio} |"


def _provenance(results: dict[str, dict[str, Any]]) -> str:
    """One sentence for each machine and day, as results can be of different ones."""
    sentences: dict[str, None] = {}
    for result in results.values():
        machine, versions = result["machine"], result["versions"]
        packages = ", ".join(f"{name} {versions[name]}" for name in _NAMED if name in versions)
        where = f"{machine['cores']} cores of {machine['cpu']}, {versions['python']}, {packages}"
        sentences[f"Measured {result['date'][:10]} on {where}."] = None
    return "\n".join(
        [
            *sentences,
            "A ratio above 1 means that ours is better; it is of samples taken in turn.",
        ]
    )


def write_readme(readme: Path, text: str) -> None:
    """Put `text` between the markers. Raises `ValueError` when the file has no pair of them."""
    before, begin, rest = readme.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{readme} needs the line {BEGIN!r} and, below it, the line {END!r}")
    readme.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def write_charts(docs: Path, results: dict[str, dict[str, Any]]) -> None:
    """The charts whose results are there."""
    docs.mkdir(parents=True, exist_ok=True)
    ours = [peers.OURS_ON_DAPHNE.name, peers.OURS_ON_UVICORN.name]
    if "fanout" in results:
        measure = results["fanout"]["measures"][0]
        values = {peer: spread["median"] for peer, spread in measure["spreads"].items()}
        svg = charts.bars(
            "Deliveries per second", f"{measure['title']}; server on one core", values, ours
        )
        (docs / "fanout.svg").write_text(svg)
    if "stalled" in results:
        series = results["stalled"]["series"]
        shown = [peers.OURS_ON_DAPHNE.name, peers.STOCK_ON_DAPHNE.name]
        curves = {peer: series[peer] for peer in shown if peer in series}
        title = "Server memory while clients are stalled"
        svg = charts.lines(title, results["stalled"]["measures"][0]["title"], curves, ours, "MB")
        (docs / "stalled-memory.svg").write_text(svg)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--results", type=Path, default=DIRECTORY)
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    chosen = parser.parse_args()
    results = load(chosen.results)
    write_charts(chosen.docs, results)
    write_readme(chosen.readme, table(results))


if __name__ == "__main__":
    main()
