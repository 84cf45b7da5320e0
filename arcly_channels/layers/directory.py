"""Which mailbox a channel name stands for, split over shards with a lock each."""

from __future__ import annotations

import threading
from collections.abc import Callable

from arcly_channels.layers.mailbox import Mailbox


class Directory:
    """A map from channel names to mailboxes, which `new_mailbox` makes."""

    def __init__(self, shards: int, new_mailbox: Callable[[str], Mailbox]) -> None:
        self._shards: list[tuple[threading.Lock, dict[str, Mailbox]]] = [
            (threading.Lock(), {}) for _ in range(shards)
        ]
        self._new_mailbox = new_mailbox

    def find(self, name: str) -> Mailbox | None:
        """Return the mailbox of `name` if it has one."""
        _, mailboxes = self._shard(name)
        return mailboxes.get(name)

    def open(self, name: str) -> Mailbox:
        """Return the mailbox of `name`, which is made when it has none.

        It may be closed by the time it is used; whoever finds it so asks again.
        """
        lock, mailboxes = self._shards[hash(name) % len(self._shards)]
        mailbox = mailboxes.get(name)
        if mailbox is None or mailbox.is_closed:
            with lock:
                mailbox = mailboxes.get(name)
                if mailbox is None or mailbox.is_closed:
                    mailbox = mailboxes[name] = self._new_mailbox(name)
        return mailbox

    def forget_if_idle(self, mailbox: Mailbox) -> bool:
        """Close and remove a mailbox that nothing keeps; return whether that was so."""
        if not mailbox.close_if_idle():
            return False
        self._remove(mailbox)
        return True

    def forget(self, mailbox: Mailbox) -> set[str]:
        """Close and remove a mailbox whatever it holds; return the groups it was in."""
        groups = mailbox.close()
        self._remove(mailbox)
        return groups

    def all(self) -> list[Mailbox]:
        """Return every mailbox. For `flush` and debugging: it looks at every shard."""
        found: list[Mailbox] = []
        for lock, mailboxes in self._shards:
            with lock:
                found.extend(mailboxes.values())
        return found

    def _remove(self, mailbox: Mailbox) -> None:
        lock, mailboxes = self._shard(mailbox.name)
        with lock:
            if mailboxes.get(mailbox.name) is mailbox:
                del mailboxes[mailbox.name]

    def _shard(self, name: str) -> tuple[threading.Lock, dict[str, Mailbox]]:
        return self._shards[hash(name) % len(self._shards)]
