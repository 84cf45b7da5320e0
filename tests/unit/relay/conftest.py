"""What the tests of the relay share: a Redis, and a server that does as it is told."""

from __future__ import annotations

import random

import pytest

from tests.unit.relay.obedient import ObedientServer


@pytest.fixture
def server() -> ObedientServer:
    return ObedientServer()


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has each pause that is to be random be the shortest: none."""
    monkeypatch.setattr(random, "uniform", lambda low, high: low)
