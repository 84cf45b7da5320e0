"""The places for sockets, which are counted over all gateways of a process."""

from __future__ import annotations

import threading
import weakref
from collections import Counter, deque
from collections.abc import Mapping
from typing import Any, NamedTuple

from arcly_channels.fork import runs_again_in_children
from arcly_channels.reasons import Limit


class Share(NamedTuple):
    """Whose places are counted together, and by which limit."""

    limit: Limit
    of: object


Shares = tuple[Share, ...]
NONE: Mapping[Share, int] = {}


class Places:
    """Who has a socket, from the start of the handshake until the socket is gone.

    Whoever is forgotten without giving the place back, as with an event loop that ended, leaves it.
    """

    @runs_again_in_children
    def __init__(self) -> None:
        self._holders: dict[weakref.ref[object], Shares] = {}
        self._taken: Counter[Share] = Counter()
        """How many places are taken of each share of which there are but so many."""
        self._lock = threading.Lock()
        self._forgotten: deque[weakref.ref[object]] = deque()
        # A garbage collection may call this anywhere, in a thread that has the lock.
        self._forget = self._forgotten.append

    @property
    def taken(self) -> int:
        """How many sockets there are."""
        with self._lock:
            self._clear_up()
            return len(self._holders)

    def holders(self) -> list[Any]:
        """Return who has a socket, in no order."""
        with self._lock:
            found = [holder() for holder in self._holders]
        return [holder for holder in found if holder is not None]

    def take(self, holder: object, limit: int, shares: Mapping[Share, int] = NONE) -> Limit | None:
        """Take a place for `holder`; return which limit keeps it from that, if one does.

        `limit` is of all places together, and 0 is none. `shares` are those that the place counts
        in, each with how many there are of it.
        """
        with self._lock:
            self._clear_up()
            if 0 < limit <= len(self._holders):
                return Limit.CONNECTIONS
            for share, most in shares.items():
                if self._taken[share] >= most:
                    return share.limit
            self._taken.update(shares.keys())
            self._holders[weakref.ref(holder, self._forget)] = tuple(shares)
            return None

    def give_back(self, holder: object) -> None:
        """Leave the place of `holder`, if it has one."""
        with self._lock:
            self._leave(weakref.ref(holder))

    def _clear_up(self) -> None:
        while self._forgotten:
            self._leave(self._forgotten.popleft())

    def _leave(self, holder: weakref.ref[object]) -> None:
        for share in self._holders.pop(holder, ()):
            self._taken[share] -= 1
            if not self._taken[share]:
                del self._taken[share]


places = Places()
"""Those of this process, whatever the layer."""
