"""How much memory a server takes, as Linux counts it."""

from __future__ import annotations

from pathlib import Path


def peak_memory(pid: int) -> int:
    """Return the most memory that the process had since `reset_peak_memory`, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def reset_peak_memory(pid: int) -> None:
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def process_of(pid: int) -> int:
    """Return the process that serves: granian's is a child of the one that was started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[-1]) if children else pid
