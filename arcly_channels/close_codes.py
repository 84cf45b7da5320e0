"""The close codes a client can meet, and whether it should come back (RFC 6455, section 7.4)."""

from __future__ import annotations

import enum

SENDABLE = frozenset({*range(1000, 1004), *range(1007, 1015), *range(3000, 5000)})
"""The codes that may stand in a close frame (RFC 6455, sections 7.4.1 and 7.4.2)."""

MAX_REASON = 123
"""The bytes that a close frame has for the reason (RFC 6455, section 5.5)."""


def shortened(reason: str) -> str:
    """Return as much of `reason` as a close frame can carry, in whole characters."""
    return reason.encode(errors="replace")[:MAX_REASON].decode(errors="ignore")


class CloseCode(enum.IntEnum):
    """A WebSocket close code; `reconnect` is what a well-made client does about it."""

    reconnect: str

    def __new__(cls, code: int, reconnect: str) -> CloseCode:
        member = int.__new__(cls, code)
        member._value_ = code
        member.reconnect = reconnect
        return member

    NORMAL = 1000, "no"
    NO_STATUS = 1005, "with back-off"
    MESSAGE_TOO_BIG = 1009, "no"
    INTERNAL_ERROR = 1011, "with back-off"
    SERVICE_RESTART = 1012, "yes, spread over time"
    SLOW_CONSUMER = 4008, "yes, with back-off, then resync"
    RESYNC = 4010, "yes"
    IDLE_TIMEOUT = 4012, "yes"
    UNAUTHENTICATED = 4401, "after a new token"
    FORBIDDEN = 4403, "no"
    TOO_MANY_CONNECTIONS = 4409, "with back-off"
    RATE_LIMITED = 4429, "with back-off"
