"""Every benchmark runs, at a tiny size, so that none rots; the pages show what was measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import channels_redis, redis_server, returns
from benchmarks.report import BEGIN, END, HIGHLIGHTS, ORDER, highlights, load, table
from benchmarks.results import DIRECTORY
from tests.documents import DOCS, README
from tests.servers import run, skip_for_want_of

pytestmark = pytest.mark.alone

OVER_REDIS = ("relay", "scale_out", "parcels", "eight")
BESIDE_CHANNELS_REDIS = ("relay", "scale_out")
UNDER_NODE = ("storm",)


@pytest.mark.parametrize("name", ORDER)
def test_benchmark_runs_and_writes_its_result(name: str, tmp_path: Path) -> None:
    if name in OVER_REDIS and redis_server.missing():
        skip_for_want_of("redis-server")
    if name in BESIDE_CHANNELS_REDIS and channels_redis.missing():
        skip_for_want_of("an environment for channels_redis")
    if name in UNDER_NODE and (reason := returns.missing()):
        skip_for_want_of(reason)
    run("-m", f"benchmarks.{name}", "--quick", "--results", str(tmp_path))
    result = json.loads((tmp_path / f"{name}.json").read_text())
    assert result["comparisons"]
    assert not result["skipped"]


def shown(page: Path) -> str:
    """Return what stands between the markers of a page."""
    text = page.read_text(encoding="utf-8")
    return text.partition(BEGIN)[2].partition(END)[0].strip()


def test_readme_shows_one_chart_and_a_row_for_each_highlight() -> None:
    text = shown(README)
    assert text == highlights(load(DIRECTORY)).strip()
    assert text.count("\n|") - 1 == len(HIGHLIGHTS) == 5
    assert README.read_text(encoding="utf-8").count(".svg)") == 1  # The pictures are no charts.


def test_benchmarks_page_shows_all_results() -> None:
    assert shown(DOCS / "explanation" / "benchmarks.md") == table(load(DIRECTORY)).strip()


def test_benchmarks_page_names_every_benchmark() -> None:
    text = (DOCS / "explanation" / "benchmarks.md").read_text(encoding="utf-8")
    assert all(f"| `{name}.py` |" in text for name in ORDER)
