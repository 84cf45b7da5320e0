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

    `CloseCode(4008).reconnect` says whether it comes back. Then it waits for `after` milliseconds,
    and up to `spread` more, at random. Where `spread` is None, it follows from how many connections
    there are to come back.
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
    """The server had no more to say."""
    NO_STATUS = 1005, Reconnect.YES
    """The peer closed without a code. Never sent."""
    MESSAGE_TOO_BIG = 1009, Reconnect.NO
    """An inbound message is over `MAX_MESSAGE_BYTES`."""
    INTERNAL_ERROR = 1011, Reconnect.YES
    """The consumer raised an exception, or `on_connect` has taken too long."""
    SERVICE_RESTART = 1012, Reconnect.YES
    """The server shuts down. Who comes meanwhile is refused with it."""
    SLOW_CONSUMER = 4008, Reconnect.YES, 1000, 4000
    """The outbox was full, or nothing was taken for `STALL_TIMEOUT`: evicted."""
    RESYNC = 4010, Reconnect.YES
    """Messages may have been lost."""
    IDLE_TIMEOUT = 4012, Reconnect.YES
    """The client gave no sign of life, or not even its system did for `STALL_TIMEOUT`."""
    UNAUTHENTICATED = 4401, Reconnect.TOKEN, 0, 1000
    """Who this is must be known, and is not, or no longer."""
    FORBIDDEN = 4403, Reconnect.NO
    """This client may not connect."""
    TOO_MANY_CONNECTIONS = 4409, Reconnect.YES, 5000, 10_000
    """A limit of connections is reached, or `authorize` has taken too long."""
    RATE_LIMITED = 4429, Reconnect.YES, 5000, 10_000
    """The client went on beyond `RATE_LIMIT`, or with malformed frames."""


_LABELLED = frozenset({*range(1000, 1016), *map(int, CloseCode)})
