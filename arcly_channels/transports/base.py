"""The contract between an outbox and the server that its connection is on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol

from arcly_channels.fanout.outbox import Outbox

ServerMessage = dict[str, Any]
Receive = Callable[[], Awaitable[ServerMessage]]
Send = Callable[[ServerMessage], Awaitable[None]]

Ending = Callable[[], Awaitable[None]]
"""Closes every connection of the running loop, and returns when they are gone."""

TINY = 128
"""Bytes below which each fragment of a message is counted; larger ones soon fill the message."""

CLOSE_TIMEOUT = 1.0
"""Seconds that a peer gets to answer a close frame before its connection is aborted."""


class Endpoint(Protocol):
    """Whom a transport tells about its connection: the session."""

    def seen(self) -> None:
        """Take note of a sign of life, which does not come as a message."""

    def bothered(self) -> None:
        """Count a frame that is no message: one that nobody asked for, or part of a message."""

    def is_deaf(self) -> bool:
        """Return whether nothing is received at the moment."""

    def too_large(self) -> None:
        """Close, as the peer sends a message of more than `message_bytes`. May be called again."""

    def abandon(self) -> None:
        """Receive no more, and end: this side is done with the connection."""


class Peer(NamedTuple):
    """One ASGI connection as the server gave it.

    `grace` is how many seconds a closing connection may take to read its backlog; `inbound` and
    `inbound_bytes` are how many frames from the client, and bytes in them, may wait for the
    application where the server lets us bound that; 0 is without bound. `message_bytes` is how many
    a message may have, where the server can be told before it has them; 0 leaves that to it.
    """

    scope: dict[str, Any]
    receive: Receive
    send: Send
    grace: float
    inbound: int
    inbound_bytes: int
    endpoint: Endpoint
    message_bytes: int = 0


class Reading(NamedTuple):
    """How to stop a server from reading a connection, and to let it read on."""

    pause: Callable[[], None]
    resume: Callable[[], None]


class Transport(Protocol):
    """Takes frames out of one outbox and writes them to the peer, in order, the close last.

    Belongs to one connection and one event loop, and is used in that loop's thread only. It is a
    transport's job to notice when the peer is behind, and to leave the frames in the outbox then:
    what it takes is out of every bound. Nothing here blocks or raises.
    """

    def flush(self, outbox: Outbox) -> None:
        """Take and write what the peer can take now; come back by itself when it can take more.

        When `outbox.close_code` is set, the peer gets its grace to read what is left, then the
        close frame, then `CLOSE_TIMEOUT` to answer; a connection that is still there is aborted.
        """

    def held_up(self) -> float:
        """Return for how many seconds in all the peer has kept this from writing, up to now."""

    def unread(self) -> int | None:
        """Return how many bytes wait in the kernel's send queue: sent, and not acknowledged yet.

        That they become fewer is the true sign of a peer that reads. None where that does not show:
        without Linux, on a unix socket, behind HTTP/2, and when the socket is gone. Costs about a
        microsecond.
        """

    def acknowledged(self) -> int | None:
        """Return how many bytes the peer's system has taken in all; None where it does not show.

        Unlike `unread` it tells who reads from who does not while more is being written.
        """

    def silence(self) -> float:
        """Return for how many seconds the peer's system has said nothing, though it was to answer.

        Unlike that of a peer that merely does not read. 0 where it does not show.
        """

    def has_left(self) -> bool:
        """Return whether the peer has hung up, as far as that shows; about a microsecond."""

    @property
    def hears_pongs(self) -> bool:
        """Whether the answers to WebSocket's pings (RFC 6455, section 5.5.2) are seen here."""

    def ask(self, outbox: Outbox) -> bool:
        """Ask the peer for a sign of life, in every way that it may answer.

        Returns whether its silence says anything: it does not where no answer would be seen, nor
        while this side receives nothing.
        """

    def received(self) -> None:
        """Take note that the application has received a message."""

    def ignore(self) -> None:
        """Read no more from the peer, where that can be: it is closed for what it sends.

        Its answer to the close is not heard then, so that it is aborted in the end.
        """

    def hold_server(self, drain: Ending) -> None:
        """Have the server wait for `drain` when it is told to end; once, for all connections."""

    @property
    def is_over(self) -> bool:
        """Whether nothing is left to do or to wait for: the connection is closed."""

    def abort(self) -> None:
        """Have no more patience: reset the connection. Idempotent."""

    async def stop(self) -> None:
        """Write nothing more: the socket is gone, or about to go because the application ends.

        Idempotent. Cancels whatever was started and waits for its end, but lets a close message
        that is under way get out, for at most `CLOSE_TIMEOUT`.
        """


def ask_by_event(outbox: Outbox, endpoint: Endpoint) -> bool:
    """Ask a peer whose dialect has a word for it; return whether its silence says anything."""
    if outbox.dialect is None:
        return False
    # Who has no room for it was not asked, and has more to read first.
    return outbox.put(outbox.dialect.ping) and not endpoint.is_deaf()
