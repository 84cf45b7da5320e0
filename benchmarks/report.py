"""Renders the results: the tables between two markers of a page, and the charts in docs/.

The README has what a newcomer wants to know, `docs/explanation/benchmarks.md` all there is.

Run by hand: `python -m benchmarks.report [--results DIR] [--readme FILE] [--docs DIR]`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from . import capacity_page, charts, peers, returns, storm
from .capacity import Costs
from .layer import STOCK as STOCK_LAYER
from .results import DIRECTORY, SPREAD, number

ROOT = Path(__file__).parents[1]
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
# fmt: off
ORDER = (
    "fanout", "bursts", "stalled", "listeners", "flood", "latency", "loop_delay", "echo", "typed",
    "idle", "layer", "offer", "heartbeat", "churn", "crowd", "slow_readers", "pings", "joins",
    "neighbours", "attackers", "relay", "scale_out", "parcels", "eight", "storm", "imports",
)
# fmt: on
HIGHLIGHTS = (
    ("fanout", "one broadcast per loop turn", peers.STOCK_ON_DAPHNE.name),
    ("fanout", "one broadcast per loop turn", peers.BROADCAST.name),
    ("stalled", "memory growth", peers.STOCK_ON_DAPHNE.name),
    ("latency", "delay of a broadcast of the server, max", peers.STOCK_ON_DAPHNE.name),
    ("layer", "in a group of 1000", STOCK_LAYER),
)
"""What the README shows: a benchmark, what is in the measure's title, and beside whom."""
_NAMED = (
    *("django", "channels", "daphne", "uvicorn", "uvloop", "websockets", "python-socketio"),
    *("redis-server", "redis", "channels_redis", "redis (channels_redis)"),
)


BARS = (
    ("fanout", "one broadcast", "Deliveries per second"),
    ("bursts", "100 broadcasts", "Deliveries per second, when there is more to say"),
    ("latency", "broadcast of the server, max", "How late a broadcast is at most"),
    ("loop_delay", "longest delay", "How long one broadcast holds up everybody else"),
    ("scale_out", "2 processes", "Deliveries per second of two processes"),
)
"""The charts with bars: of which benchmark, what is in the measure's title, and the chart's own."""


def load(directory: Path) -> dict[str, dict[str, Any]]:
    """The results that are there, in the order of the report."""
    paths = {name: directory / f"{name}.json" for name in ORDER}
    return {name: json.loads(path.read_text()) for name, path in paths.items() if path.exists()}


def table(results: dict[str, dict[str, Any]]) -> str:
    """Markdown: one row a comparison, and below it where and when that was measured."""
    entries = []
    for result in results.values():
        compared = {
            (entry["measure"], entry["subject"]) for entry in result["comparisons"] if entry["peer"]
        }
        entries += [
            entry
            for entry in result["comparisons"]
            if entry["peer"] or (entry["measure"], entry["subject"]) not in compared
        ]
    return _table(entries, results)


def highlights(results: dict[str, dict[str, Any]]) -> str:
    """The same for the few comparisons of `HIGHLIGHTS`."""
    entries = [
        entry
        for name, title, peer in HIGHLIGHTS
        for entry in results.get(name, {"comparisons": []})["comparisons"]
        if title in entry["measure"] and entry["peer"] == peer
    ]
    return _table(entries, {name: results[name] for name, *_ in HIGHLIGHTS if name in results})


def _table(entries: list[dict[str, Any]], results: dict[str, dict[str, Any]]) -> str:
    head = ["| measure | ours | peer | ratio: median (range) |", "|---|---|---|---|"]
    return "\n".join([*head, *map(_row, entries)]) + "\n\n" + _provenance(results)


def _row(entry: dict[str, Any]) -> str:
    ours = f"{entry['subject']}: {number(entry['subject_spread']['median'])}"
    peer = ratio = ""
    if entry["peer"]:
        peer = f"{entry['peer']}: {number(entry['peer_spread']['median'])}"
        middle, low, high = (number(entry["ratio"][key]) for key in SPREAD)
        ratio = f"**{middle}x** ({low} to {high})"
    return f"| {entry['measure']} ({entry['unit']}) | {ours} | {peer} | {ratio} |"


def _provenance(results: dict[str, dict[str, Any]]) -> str:
    """One sentence for each machine, with the days, as results can be of different ones."""
    days: dict[str, set[str]] = {}
    for result in results.values():
        machine, versions = result["machine"], result["versions"]
        packages = ", ".join(f"{name} {versions[name]}" for name in _NAMED if name in versions)
        where = f"{machine['cores']} cores of {machine['cpu']}, {versions['python']}, {packages}"
        days.setdefault(where, set()).add(result["date"][:10])
    return "\n".join(
        [
            *(f"Measured {' and '.join(sorted(of))} on {where}." for where, of in days.items()),
            "A ratio above 1 means that ours is better; it is of samples taken in turn.",
        ]
    )


def write_between_markers(page: Path, text: str) -> None:
    """Put `text` between the markers. Raises `ValueError` when the page has no pair of them."""
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} needs the line {BEGIN!r} and, below it, the line {END!r}")
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def write_charts(docs: Path, results: dict[str, dict[str, Any]]) -> None:
    """The charts whose results are there."""
    docs.mkdir(parents=True, exist_ok=True)
    kinds = (peers.OURS_ON_DAPHNE, peers.OURS_ON_UVICORN, peers.OURS_OVER_REDIS)
    ours = [kind.name for kind in kinds]
    for name, what, title in BARS:
        if name in results:
            measure = next(each for each in results[name]["measures"] if what in each["title"])
            values = {peer: spread["median"] for peer, spread in measure["spreads"].items()}
            about = f"{measure['title']} ({measure['unit']}); server on one core"
            svg = charts.bars(title, about, values, ours)
            (docs / f"{name.replace('_', '-')}.svg").write_text(svg)
    if "stalled" in results:
        series = results["stalled"]["series"]
        shown = [peers.OURS_ON_DAPHNE.name, peers.STOCK_ON_DAPHNE.name]
        curves = {peer: series[peer] for peer in shown if peer in series}
        title = "Server memory while clients are stalled"
        svg = charts.lines(title, results["stalled"]["measures"][0]["title"], curves, ours, "MB")
        (docs / "stalled-memory.svg").write_text(svg)
    if "storm" in results:
        (docs / "storm.svg").write_text(_storm(results["storm"]))


def _storm(result: dict[str, Any]) -> str:
    """The chart of one restart, with both kinds of clients until the last of all is back."""
    names = [storm.name_of(kind, peers.OURS_ON_DAPHNE) for kind in (storm.OURS, storm.NAIVE)]
    curves = {name: result["series"][f"{storm.ASKED}: {name}"] for name in names}
    longest = max(curves.values(), key=len)
    for curve in curves.values():
        curve += [(seconds, 0) for seconds, _ in longest[len(curve) :]]
    title = f"A restart, and {result['parameters']['clients']:,} clients that come back"
    measured = f"attempts to connect in each {returns.BIN:g} s; {storm.ASKED}"
    return charts.lines(title, measured, curves, names[:1], "")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--results", type=Path, default=DIRECTORY)
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    chosen = parser.parse_args()
    results = load(chosen.results)
    write_charts(chosen.docs, results)
    write_between_markers(chosen.readme, highlights(results))
    write_between_markers(chosen.docs / "explanation" / "benchmarks.md", table(results))
    write_between_markers(
        chosen.docs / "explanation" / "capacity.md",
        capacity_page.shown(Costs.measured(chosen.results)),
    )


if __name__ == "__main__":
    main()
