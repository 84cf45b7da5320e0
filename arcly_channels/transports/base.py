"""The contract between an outbox and the server that its connection is on."""

from __future__ import annotations

from typing import Protocol

from arcly_channels.outbox import Outbox


class Transport(Protocol):
    """Takes frames out of one outbox and writes them to the peer, in order, the close last.

    Belongs to one connection and one event loop, and is used in that loop's thread only. It is a
    transport's job to notice when the peer is behind, and to leave the frames in the outbox then:
    what it takes is out of every bound.
    """

    def flush(self, outbox: Outbox) -> None:
        """Take and write what the peer can take now; come back by itself when it can take more.

        Never blocks and never raises. When `outbox.close_code` is set, the peer gets the grace to
        read what is left, then the close, and the connection is aborted should that not work.
        """

    def stop(self) -> None:
        """Write nothing more: the socket is gone. Idempotent; cancels whatever was started."""
