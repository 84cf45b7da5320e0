"""A test in two forms: a short one for every run, and a long one that measures (`-m long`)."""

from __future__ import annotations

import sys
from typing import NamedTuple

import pytest


class Form(NamedTuple):
    """How much of it: so many times, for so many seconds, with so many rooms."""

    times: int = 1
    seconds: float = 1
    rooms: int = 50
    is_long: bool = False

    def bar(self, what: str, value: float, limit: float) -> None:
        """Tell a figure and hold it against its bar: in the long form, on a machine at rest."""
        if self.is_long:
            sys.stdout.write(f"\n{what}: {value:.3f}, at most {limit:g}")
            assert value <= limit, what


def forms(short: Form, long: Form) -> pytest.MarkDecorator:
    """Run a test in both forms, as its argument `form`."""
    full = pytest.param(long._replace(is_long=True), id="long", marks=pytest.mark.long)
    return pytest.mark.parametrize("form", [pytest.param(short, id="short"), full])
