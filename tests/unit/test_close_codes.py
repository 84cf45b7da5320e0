"""The table of close codes."""

from __future__ import annotations

import pytest

from arcly_channels import Refused
from arcly_channels.close_codes import CloseCode, shortened


def test_codes_are_these() -> None:
    found = {code.name: (int(code), code.reconnect, code.after, code.spread) for code in CloseCode}
    assert found == {
        "NORMAL": (1000, "no", 0, None),
        "NO_STATUS": (1005, "yes", 0, None),
        "MESSAGE_TOO_BIG": (1009, "no", 0, None),
        "INTERNAL_ERROR": (1011, "yes", 0, None),
        "SERVICE_RESTART": (1012, "yes", 0, None),
        "SLOW_CONSUMER": (4008, "yes", 1000, 4000),
        "RESYNC": (4010, "yes", 0, None),
        "IDLE_TIMEOUT": (4012, "yes", 0, None),
        "UNAUTHENTICATED": (4401, "token", 0, 1000),
        "FORBIDDEN": (4403, "no", 0, None),
        "TOO_MANY_CONNECTIONS": (4409, "yes", 5000, 10_000),
        "RATE_LIMITED": (4429, "yes", 5000, 10_000),
    }


@pytest.mark.parametrize("code", [0, 403, 999, 1006, 1012, 5000])
def test_nobody_is_refused_with_a_code_that_cannot_be_sent(code: int) -> None:
    with pytest.raises(ValueError, match=f"1000 or 3000 to 4999, not {code}"):
        Refused(code, "not you")


def test_a_reason_is_cut_between_characters() -> None:
    assert shortened("not you") == "not you"
    assert shortened("é" * 100) == "é" * 61
