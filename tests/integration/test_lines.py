"""A client behind a slow line survives any burst that fits its buffer, however slow the line is."""

from __future__ import annotations

import pytest

from tests.integration.lines import Burst, can_slow_a_line, run_behind_line
from tests.servers import skip_for_want_of

FITTING = (Burst(256, 4096, in_thread=False), Burst(256, 4096, in_thread=True))
"""1 MiB in 256 frames: as much as an outbox holds."""


@pytest.mark.parametrize("mbit", [5, 2])
@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
def test_no_reader_is_evicted_by_a_burst_that_fits_its_buffer(server: str, mbit: int) -> None:
    if not can_slow_a_line():
        skip_for_want_of("a network namespace with a slow link (unshare, ip, tc)")
    outcomes = run_behind_line(server, mbit, *FITTING, timeout=120)
    assert [outcome.is_kept for outcome in outcomes] == [True] * len(FITTING)
