"""What log lines say in fields of their own, and how often those come that may come very often."""

from __future__ import annotations

import math
import time

from arcly_channels.fork import ForkSafeLock


def noted(
    connection: int | None = None,
    tenant: str | None = None,
    code: int | None = None,
    reason: str | None = None,
) -> dict[str, object]:
    """Return the `extra` of such a line: always the same four keys, None where it is not known.

    Payloads, tokens and claims have no place there.
    """
    number = None if code is None else int(code)
    return {"connection": connection, "tenant": tenant, "code": number, "reason": reason}


class Repeats:
    """Lets one line per `interval` seconds through for each thing that may happen very often."""

    def __init__(self, interval: float = 1.0) -> None:
        self._interval = interval
        self._lines: dict[str, tuple[float, int]] = {}
        """When the last line was due, and how many were not since, by what they are about."""
        self._lock = ForkSafeLock()

    def due(self, about: str) -> int | None:
        """Return None for a line that comes too early, else how many were too early before it."""
        now = time.monotonic()
        with self._lock:
            last, missed = self._lines.get(about, (-math.inf, 0))
            # What is yet to come was noted while a test moved the clock.
            is_due = not 0 <= now - last < self._interval
            self._lines[about] = (now, 0) if is_due else (last, missed + 1)
        return missed if is_due else None
