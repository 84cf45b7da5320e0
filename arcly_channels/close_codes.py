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


def label(code: int) -> str:
    """Return a close code as metrics name it: those of others than ours and RFC 6455 are "other".

    A client may make up any number.
    """
    return str(int(code)) if code in _LABELLED else "other"


class Reconnect(str, enum.Enum):
    """Whether a client comes back after its connection was closed."""

    NO = "no"
    YES = "yes"
    TOKEN = "token"  # noqa: S105
    """With a new token."""


class CloseCode(enum.IntEnum):
    """A WebSocket close code, and what a well-made client does about it.

    One that comes back waits for `after` milliseconds, and up to `spread` more, at random. Where
    `spread` is None, it follows from how many connections there are to come back.
    """

    reconnect: Reconnect
    after: int
    spread: int | None

    def __new__(
        cls, code: int, reconnect: Reconnect, after: int = 0, spread: int | None = None
    ) -> CloseCode:
        member = int.__new__(cls, code)
        member._value_ = code
        member.reconnect, member.after, member.spread = reconnect, after, spread
        return member

    NORMAL = 1000, Reconnect.NO
    NO_STATUS = 1005, Reconnect.YES
    MESSAGE_TOO_BIG = 1009, Reconnect.NO
    INTERNAL_ERROR = 1011, Reconnect.YES
    SERVICE_RESTART = 1012, Reconnect.YES
    SLOW_CONSUMER = 4008, Reconnect.YES, 1000, 4000
    RESYNC = 4010, Reconnect.YES
    IDLE_TIMEOUT = 4012, Reconnect.YES
    UNAUTHENTICATED = 4401, Reconnect.TOKEN, 0, 1000
    FORBIDDEN = 4403, Reconnect.NO
    TOO_MANY_CONNECTIONS = 4409, Reconnect.YES, 5000, 10_000
    RATE_LIMITED = 4429, Reconnect.YES, 5000, 10_000


_LABELLED = frozenset({*range(1000, 1016), *map(int, CloseCode)})
