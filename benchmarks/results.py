"""The record of one benchmark: raw samples, spreads, ratios, and where they were measured."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any, Literal

SPREAD = ("median", "lowest", "highest")
DIRECTORY = Path(__file__).parent / "results"

# fmt: off
_PACKAGES = (
    "arcly-channels", "django", "channels", "asgiref", "daphne", "twisted", "autobahn", "uvicorn",
    "uvloop", "websockets", "wsproto", "hypercorn", "granian", "python-socketio",
    "python-engineio", "orjson", "redis", "hiredis", "msgpack",
)
# fmt: on


@dataclass(frozen=True)
class Spread:
    """Several samples of the same thing."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, samples: Sequence[float]) -> Spread:
        return cls(median(samples), min(samples), max(samples))


@dataclass
class Measure:
    """One quantity, with samples of every peer; those at the same index were taken side by side.

    `resolution` is the least value that can be told from zero; ratios count smaller ones as that.
    """

    title: str
    unit: str
    better: Literal["higher", "lower"]
    resolution: float = 1e-9
    samples: dict[str, list[float]] = field(default_factory=dict)

    def add(self, peer: str, value: float) -> None:
        self.samples.setdefault(peer, []).append(value)

    def median(self, peer: str) -> float:
        return median(self.samples[peer])

    def as_json(self) -> dict[str, Any]:
        spreads = {peer: vars(Spread.of(taken)) for peer, taken in self.samples.items()}
        return vars(self) | {"spreads": spreads}

    def ratios(self, subject: str, peer: str) -> list[float]:
        """How many times better the subject was than the peer, pair by pair."""
        above_from, below_from = (subject, peer) if self.better == "higher" else (peer, subject)
        pairs = zip(self.samples[above_from], self.samples[below_from], strict=True)
        return [max(above, self.resolution) / max(below, self.resolution) for above, below in pairs]


@dataclass(frozen=True)
class Comparison:
    """What a measure is taken for: a subject beside a peer, or alone.

    `bar` is what the project wants: beside a peer the least median ratio, alone a limit on the
    subject's own median.
    """

    measure: Measure
    subject: str
    peer: str | None
    bar: float | None

    def summary(self) -> dict[str, Any] | None:
        """None while one of the two has no samples."""
        if not {self.subject, self.peer or self.subject} <= self.measure.samples.keys():
            return None
        spread = Spread.of(self.measure.samples[self.subject])
        judged, wants_more = spread.median, self.measure.better == "higher"
        summary: dict[str, Any] = {"measure": self.measure.title, "unit": self.measure.unit}
        summary |= {"subject": self.subject, "peer": self.peer, "bar": self.bar}
        summary["subject_spread"] = vars(spread)
        if self.peer:
            ratios = self.measure.ratios(self.subject, self.peer)
            summary["peer_spread"] = vars(Spread.of(self.measure.samples[self.peer]))
            summary |= {"ratios": ratios, "ratio": vars(Spread.of(ratios))}
            judged, wants_more = median(ratios), True
        if self.bar is not None:
            summary["bar_met"] = judged >= self.bar if wants_more else judged <= self.bar
        return summary


class Result:
    """Collects what one benchmark finds out, prints it and writes it down."""

    def __init__(self, name: str, question: str, **parameters: Any) -> None:
        self.name = name
        self.question = question.splitlines()[0]
        self.parameters = parameters
        self.series: dict[str, list[tuple[float, float]]] = {}
        self.close_codes: dict[str, list[int]] = {}
        self.versions: dict[str, str] = {}
        """Of what is not installed here: of servers, and of peers in environments of their own."""
        self._measures: list[Measure] = []
        self._comparisons: list[Comparison] = []
        self._skipped: dict[str, str] = {}
        print(f"\n{name}: {self.question}", flush=True)

    def measure(
        self,
        title: str,
        unit: str,
        better: Literal["higher", "lower"] = "higher",
        *,
        resolution: float = 1e-9,
    ) -> Measure:
        self._measures.append(Measure(title, unit, better, resolution))
        return self._measures[-1]

    def compare(
        self, measure: Measure, subject: str, peer: str | None = None, *, bar: float | None = None
    ) -> None:
        self._comparisons.append(Comparison(measure, subject, peer, bar))

    def skip(self, peer: str, reason: str) -> None:
        if peer not in self._skipped:
            self._skipped[peer] = reason
            print(f"  skipped: {peer} ({reason})", flush=True)

    def as_json(self) -> dict[str, Any]:
        summaries = [comparison.summary() for comparison in self._comparisons]
        return {
            "name": self.name,
            "question": self.question,
            "date": time.strftime("%Y-%m-%d %H:%M:%S %z"),
            "machine": _machine(),
            "versions": _versions() | self.versions,
            "parameters": self.parameters,
            "skipped": self._skipped,
            "measures": [measure.as_json() for measure in self._measures if measure.samples],
            "comparisons": [summary for summary in summaries if summary],
            "series": self.series,
            "close_codes": self.close_codes,
        }

    def print(self, *, bars: bool) -> None:
        """A table for people, with or without a word on each bar."""
        found = self.as_json()
        for measure in found["measures"]:
            print(f"  {measure['title']} [{measure['unit']}]")
            for peer, spread in measure["spreads"].items():
                middle, low, high = (number(spread[key]) for key in SPREAD)
                print(f"    {peer:<42}{middle:>9}   {low}-{high}")
        for entry in found["comparisons"]:
            verdict = ""
            if bars and entry["bar"] is not None:
                verdict = f"   bar {entry['bar']:g}: {'met' if entry['bar_met'] else 'MISSED'}"
            if entry["peer"]:
                ratio, low, high = (number(entry["ratio"][key]) for key in SPREAD)
                verdict = f" {ratio} times as good ({low}-{high}) as {entry['peer']}{verdict}"
            if verdict:
                print(f"  {entry['measure']}: {entry['subject']}{verdict}", flush=True)

    def write(self, directory: Path = DIRECTORY) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{self.name}.json").write_text(json.dumps(self.as_json(), indent=1) + "\n")


def number(value: float) -> str:
    """Three significant digits, thousands and millions abbreviated."""
    if abs(value) >= 999_500:
        return f"{value / 1e6:.3g} M"
    if abs(value) >= 10_000:
        return f"{value / 1e3:.3g} k"
    return f"{value:.0f}" if abs(value) >= 999.5 else f"{value:.3g}"


def _machine() -> dict[str, Any]:
    model = platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    for line in cpuinfo.read_text().splitlines() if cpuinfo.exists() else []:
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
    }


def _versions() -> dict[str, str]:
    found = {"python": f"{platform.python_implementation()} {platform.python_version()}"}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    with suppress(ImportError):  # Ours may be run from a checkout, where nothing is installed.
        found["arcly-channels"] = import_module("arcly_channels").__version__
    return found
