"""The connection registry: the words of the contract, over `fanout.connections`.

`docs/explanation/semantics.md` says what each means, and where it comes from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arcly_channels.close_codes import CloseCode
from arcly_channels.fanout.audience import EVERYONE, Group, One
from arcly_channels.fanout.connections import Connections
from arcly_channels.fanout.outbox import Outbox
from arcly_channels.fanout.rows import NOBODY, About
from arcly_channels.wire.envelope import Frame


class ConnectionRegistry(Connections):
    """Who is connected, who is in which room, and the fan-out to both.

    Ids are integers; an unknown one is ignored everywhere. No method waits for a client.
    """

    def register(self, outbox: Outbox, claims: Mapping[str, Any] | None = None) -> int:
        """Add a connection and return its id, which no other connection of this process has."""
        about = NOBODY if claims is None else About(user=str(claims.get("sub")))
        return self.add(outbox, about=about).id

    def unregister(self, id: int) -> bool:
        """Remove a connection from here and all its rooms; return whether it was there.

        Nothing is sent to it and its socket stays open: that is up to who registered it.
        """
        return self.remove(id) is not None

    def touch(self, id: int) -> None:
        """Note a sign of life of a connection."""
        connection = self.get(id)
        if connection is not None:
            connection.last_seen = self.clock()

    def sweep_idle(self, max_idle_seconds: float) -> list[int]:
        """Close (4012) and remove what gave no sign of life for more than that; return the ids."""
        now = self.clock()
        stale = [each.id for each in self if now - each.last_seen > max_idle_seconds]
        reaped = [id for id in stale if self.close(One(id), CloseCode.IDLE_TIMEOUT)]
        self.idle_reaped += len(reaped)
        return reaped

    def close_all(self, code: int = CloseCode.SERVICE_RESTART) -> int:
        """Ask every socket to close after its backlog; return how many were asked.

        They stay registered until their consumers have ended.
        """
        visited = 0
        for connection in self:
            outbox = connection.outbox
            outbox.lane.call(outbox.close, code)
            visited += 1
        return visited

    def connection_count(self) -> int:
        """Return the number of connections, at a cost that does not grow with it."""
        return len(self)

    def join_room(self, id: int, room: str) -> None:
        """Add a connection to a room."""
        self.join(id, room)

    def leave_room(self, id: int, room: str) -> None:
        """Take a connection out of a room."""
        self.leave(id, room)

    def room_members(self, room: str) -> list[int]:
        """Return the ids of the connections in `room`."""
        return [connection.id for connection in self.members(room)]

    def rooms(self) -> list[str]:
        """Return the names of all rooms. For tests and debugging: it looks at every shard."""
        return self.groups()

    def send_text(self, id: int, text: str) -> None:
        """Put a text into one connection's outbox."""
        self.deliver(One(id), Frame.from_text(text))

    def broadcast_text(self, text: str) -> None:
        """Put a text, encoded once, into the outbox of every connection."""
        self.deliver(EVERYONE, Frame.from_text(text))

    def broadcast_room_text(self, room: str, text: str) -> None:
        """Put a text, encoded once, into the outbox of every connection in `room`."""
        self.deliver(Group(room), Frame.from_text(text))
