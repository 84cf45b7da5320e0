"""Why a connection ended: one word for handlers, the log and the metrics, beside its close code."""

from __future__ import annotations

import enum

from arcly_channels.close_codes import CloseCode

EXPIRED = "the token has expired"
SUSPENDED = "the tenant is suspended"

_CUT = 1006
"""What stands for the code where there was no close frame (RFC 6455, section 7.1.5)."""


class DisconnectReason(str, enum.Enum):
    """Why a connection ended: for handlers, the log and a metric; a string, too."""

    __str__ = str.__str__
    """The word, whatever this Python makes of the members of an enum in an f-string."""

    CLIENT = "client"
    """The client closed it."""
    NETWORK = "network"
    """It was cut, or given up by the server that it was on."""
    SLOW = "slow"
    """The client did not read what it was sent."""
    IDLE = "idle"
    """The client gave no sign of life."""
    REFUSED = "refused"
    """The gateway closed it, for a reason of its own."""
    EXPIRED = "expired"
    """The client's claims have ended."""
    KICKED = "kicked"
    """Its user, its token or its tenant was disconnected."""
    SUSPENDED = "suspended"
    """Its tenant is served no more."""
    LIMIT = "limit"
    """The client went beyond what one may."""
    ERROR = "error"
    """Something failed on this side."""
    SHUTDOWN = "shutdown"
    """The server ended, or the event loop."""


class Limit(str, enum.Enum):
    """What a client went beyond."""

    CONNECTIONS = "connections"
    """`MAX_CONNECTIONS`."""
    USER = "connections_per_user"
    """`MAX_CONNECTIONS_PER_USER`."""
    ADDRESS = "connections_per_address"
    """`MAX_CONNECTIONS_PER_ADDRESS`."""
    MESSAGE = "message_bytes"
    """`MAX_MESSAGE_BYTES`."""
    RATE = "rate"
    """`RATE_LIMIT`: each frame that came too early."""
    ERRORS = "errors"
    """`RATE_LIMIT`: each connection that ended because too many of its frames were refused."""
    ROOMS = "rooms"
    """`MAX_ROOMS_PER_CONNECTION`."""
    HANDSHAKE = "handshake"
    """`HANDSHAKE_TIMEOUT`, where it is not the client who did."""


_BY_CODE = {
    CloseCode.MESSAGE_TOO_BIG: DisconnectReason.LIMIT,
    CloseCode.INTERNAL_ERROR: DisconnectReason.ERROR,
    CloseCode.SERVICE_RESTART: DisconnectReason.SHUTDOWN,
    CloseCode.SLOW_CONSUMER: DisconnectReason.SLOW,
    CloseCode.RESYNC: DisconnectReason.SHUTDOWN,
    CloseCode.IDLE_TIMEOUT: DisconnectReason.IDLE,
    CloseCode.UNAUTHENTICATED: DisconnectReason.KICKED,
    CloseCode.FORBIDDEN: DisconnectReason.KICKED,
    CloseCode.TOO_MANY_CONNECTIONS: DisconnectReason.LIMIT,
    CloseCode.RATE_LIMITED: DisconnectReason.LIMIT,
    _CUT: DisconnectReason.NETWORK,
}
_BY_TEXT = {EXPIRED: DisconnectReason.EXPIRED, SUSPENDED: DisconnectReason.SUSPENDED}


def of_close(code: int, text: str = "") -> DisconnectReason:
    """Return why this side closed a connection with a code and the text of a close frame."""
    return _BY_TEXT.get(text) or _BY_CODE.get(code, DisconnectReason.REFUSED)


def of_peer(code: int) -> DisconnectReason:
    """Return why a connection ended of which the server says that the peer closed it.

    Servers that end say 1012 for it themselves.
    """
    is_known = code in (_CUT, CloseCode.SERVICE_RESTART)
    return _BY_CODE[code] if is_known else DisconnectReason.CLIENT
