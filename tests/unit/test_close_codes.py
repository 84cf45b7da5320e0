"""The table of close codes."""

from __future__ import annotations

import pytest

from arcly_channels import Refused
from arcly_channels.close_codes import CloseCode, shortened


def test_codes_are_these() -> None:
    assert {code.name: (int(code), code.reconnect) for code in CloseCode} == {
        "NORMAL": (1000, "no"),
        "NO_STATUS": (1005, "with back-off"),
        "MESSAGE_TOO_BIG": (1009, "no"),
        "INTERNAL_ERROR": (1011, "with back-off"),
        "SERVICE_RESTART": (1012, "yes, spread over time"),
        "SLOW_CONSUMER": (4008, "yes, with back-off, then resync"),
        "RESYNC": (4010, "yes"),
        "IDLE_TIMEOUT": (4012, "yes"),
        "UNAUTHENTICATED": (4401, "after a new token"),
        "FORBIDDEN": (4403, "no"),
        "TOO_MANY_CONNECTIONS": (4409, "with back-off"),
        "RATE_LIMITED": (4429, "with back-off"),
    }


@pytest.mark.parametrize("code", [0, 403, 999, 1006, 1012, 5000])
def test_nobody_is_refused_with_a_code_that_cannot_be_sent(code: int) -> None:
    with pytest.raises(ValueError, match=f"1000 or 3000 to 4999, not {code}"):
        Refused(code, "not you")


def test_a_reason_is_cut_between_characters() -> None:
    assert shortened("not you") == "not you"
    assert shortened("é" * 100) == "é" * 61
