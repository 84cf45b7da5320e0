"""The TCP socket below a connection: what its peer has not taken, and how to reset it.

ASGI has no word for either, so the socket is found once, when the connection is accepted.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
import sys
from contextlib import suppress
from typing import Any, Protocol

try:
    from fcntl import ioctl
    from termios import TIOCOUTQ
except ImportError:  # pragma: no cover  # Windows has neither.
    ioctl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

_TCP_INFO: int | None = getattr(socket, "TCP_INFO", None) if sys.platform == "linux" else None
_CLOSE, _CLOSE_WAIT = 7, 8
"""What `tcpi_state`, its first byte, is when the peer has closed the connection."""
_BYTES_ACKED = 120
"""Where `tcpi_bytes_acked` is in Linux' `struct tcp_info`, a u64; before 4.1 there is none."""
_BACKOFF, _LAST_ACK_RECEIVED = 4, 56
"""Where `tcpi_backoff` is, a u8, and `tcpi_last_ack_recv`, a u32 of milliseconds."""

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time. Closing sends a RST.
_NO_BYTES = bytes(4)
_NEARBY = 256
"""How many descriptors are looked at, at about 3 microseconds each, in the loop's thread."""

Address = tuple[str, int]


class HasNumber(Protocol):
    """A socket of whatever kind, whose `fileno()` is -1 once it is closed."""

    def fileno(self) -> int: ...


def unread(of: HasNumber | None) -> int | None:
    """Return how many bytes the peer of a socket has not acknowledged; None if that is unknown."""
    if of is None or ioctl is None:
        return None
    try:
        queued = ioctl(of.fileno(), TIOCOUTQ, _NO_BYTES)
    except (OSError, ValueError):  # It is closed, or no TCP socket.
        return None
    return int.from_bytes(queued, sys.byteorder)


def acknowledged(of: HasNumber | None) -> int | None:
    """Return how many bytes the peer of a socket has acknowledged so far; None if unknown."""
    return _number(_tcp_info(of), _BYTES_ACKED, 8)


def silence(of: HasNumber | None) -> float:
    """Return for how many seconds the system of the peer has said nothing at all.

    That is 0 as long as nothing had to be sent to it twice, and where it does not show. A system
    whose program does not read says so, again and again: it is not silent.
    """
    info = _tcp_info(of)
    return (_number(info, _LAST_ACK_RECEIVED, 4) or 0) / 1000 if _number(info, _BACKOFF, 1) else 0.0


def is_left(of: HasNumber | None) -> bool:
    """Return whether the peer of a socket has hung up, be it behind much that nobody has read."""
    is_closed = of is not None and of.fileno() < 0
    return is_closed or _number(_tcp_info(of), 0, 1) in (_CLOSE, _CLOSE_WAIT)


def _tcp_info(of: HasNumber | None) -> bytes:
    if of is None or _TCP_INFO is None:
        return b""
    try:
        found = socket.socket(fileno=of.fileno())
    except (OSError, ValueError):  # It is closed.
        return b""
    try:
        return found.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _BYTES_ACKED + 8)
    except OSError:  # It is no TCP socket.
        return b""
    finally:
        found.detach()  # It is not ours to close.


def _number(info: bytes, at: int, size: int) -> int | None:
    found = info[at : at + size]
    return int.from_bytes(found, sys.byteorder) if len(found) == size else None


def reset_at_close(of: HasNumber | None) -> None:
    """Have a connection reset when its owner closes it, which drops what was not sent."""
    if of is None:
        return
    with suppress(OSError, ValueError):  # It is closed, or the peer was faster.
        found = socket.socket(fileno=of.fileno())
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        finally:
            found.detach()  # It is not ours to close.


class Descriptor:
    """A socket that somebody else owns and may close at any time, in any thread.

    Its number is another file's then, so it is known by its inode too, which no two sockets share.
    """

    __slots__ = ("_inode", "_number")

    def __init__(self, number: int) -> None:
        self._number = number
        self._inode = os.fstat(number).st_ino

    def fileno(self) -> int:
        """Return the number, or -1 when the socket is closed."""
        return self._number if self._is_inode_of(self._number) else -1

    def reset(self) -> bool:
        """Reset the connection, dropping what was not sent; return whether it was still there."""
        try:
            copy = os.dup(self._number)  # Nobody can close this one between our look and our act.
        except OSError:
            return False
        try:
            return self._is_inode_of(copy) and _reset(copy)
        finally:
            os.close(copy)

    def _is_inode_of(self, number: int) -> bool:
        try:
            return os.fstat(number).st_ino == self._inode
        except OSError:
            return False


def find_descriptor(send: object, scope: dict[str, Any]) -> Descriptor | None:
    """Return the socket of the connection that `send` and `scope` are of, or None.

    hypercorn and uvicorn keep it within reach of `send`. Elsewhere (granian) it is looked for by
    both of its addresses, near the lowest free number: which is the one that it got, but for those
    who came at the same time.
    """
    if scope.get("http_version", "1.1") >= "2":
        return None  # The connection belongs to more clients than this one.
    known = _of_asyncio(send)
    try:
        if known is not None:
            return Descriptor(known.fileno())
        return _search(scope.get("client"), scope.get("server"))
    except (OSError, ValueError):
        return None  # It is closed already.


def _of_asyncio(send: object) -> HasNumber | None:
    """Return the socket behind the `send` of hypercorn or of uvicorn's legacy implementation."""
    owner: Any = getattr(send, "__self__", None)
    for _ in range(2):  # hypercorn: the stream's, the protocol's, the server's.
        owner = getattr(getattr(owner, "send", None), "__self__", owner)
    connection = getattr(owner, "writer", None) or getattr(owner, "transport", None)
    look = getattr(connection, "get_extra_info", None)
    found: HasNumber | None = look("socket") if callable(look) else None
    return found


def _search(client: Any, server: Any) -> Descriptor | None:
    if not client or not server or not server[1]:
        return None  # A unix socket.
    ends = (client[0], int(client[1])), (server[0], int(server[1]))
    free = _lowest_free_number()
    for number in (*range(free - 1, free - _NEARBY, -1), *range(free + 1, free + _NEARBY)):
        if number >= 0 and _connects(number, *ends):
            return Descriptor(number)
    return None


def _lowest_free_number() -> int:
    number = os.open(os.devnull, os.O_RDONLY)
    os.close(number)
    return number


def _connects(number: int, client: Address, server: Address) -> bool:
    try:
        found = socket.socket(fileno=number)
    except OSError:
        return False  # It is no socket.
    try:
        address, port = found.getsockname()[:2]
        # granian says where it listens, which may be everywhere.
        is_server = port == server[1] and server[0] in (address, "0.0.0.0", "::")  # noqa: S104
        return is_server and bool(found.getpeername()[:2] == client)
    except (OSError, ValueError):
        return False  # It is not connected, or no IP socket.
    finally:
        found.detach()  # It is not ours to close.


def _reset(number: int) -> bool:
    found = socket.socket(fileno=number)
    try:
        with suppress(OSError):  # The peer was faster.
            found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            found.shutdown(socket.SHUT_RDWR)
        return True
    finally:
        found.detach()
