"""The benchmark of handshakes still runs, and checks its own result."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "handshake.py"


def test_a_quick_run_gives_a_ratio(tmp_path: Path) -> None:
    output = tmp_path / "handshake.json"
    command = [sys.executable, str(BENCHMARK), "--quick", "--output", str(output)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    report = json.loads(output.read_text())
    assert report["handshakes_of_each_kind"] == 80
    assert report["clock"]["ratio"] > 0
