"""Every benchmark runs, at a tiny size, so that none rots."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.report import ORDER
from tests.servers import run


@pytest.mark.parametrize("name", ORDER)
def test_benchmark_runs_and_writes_its_result(name: str, tmp_path: Path) -> None:
    run("-m", f"benchmarks.{name}", "--quick", "--results", str(tmp_path))
    result = json.loads((tmp_path / f"{name}.json").read_text())
    assert result["comparisons"]
    assert not result["skipped"]
