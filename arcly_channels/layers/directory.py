"""Which mailbox a channel name stands for."""

from __future__ import annotations

import threading
from collections.abc import Callable

from arcly_channels.layers.mailbox import Mailbox


class Directory:
    """A map from channel names to mailboxes, which `new_mailbox` makes.

    Looking a mailbox up takes no lock; adding and removing one do, shortly.
    """

    def __init__(self, new_mailbox: Callable[[str], Mailbox]) -> None:
        self._mailboxes: dict[str, Mailbox] = {}
        self._lock = threading.Lock()
        self._new_mailbox = new_mailbox
        self.find = self._mailboxes.get
        """Returns the mailbox of a name if it has one; it may be closed."""

    def open(self, name: str) -> Mailbox:
        """Return the mailbox of `name`, which is made when it has none.

        It may be closed by the time it is used; whoever finds it so asks again.
        """
        mailbox = self._mailboxes.get(name)
        if mailbox is None or mailbox.is_closed:
            with self._lock:
                mailbox = self._mailboxes.get(name)
                if mailbox is None or mailbox.is_closed:
                    mailbox = self._mailboxes[name] = self._new_mailbox(name)
        return mailbox

    def forget_if_idle(self, mailbox: Mailbox) -> bool:
        """Close and remove a mailbox that nothing keeps; return whether that was so."""
        if not mailbox.close_if_idle():
            return False
        self._remove(mailbox)
        return True

    def forget(self, mailbox: Mailbox) -> dict[str, float]:
        """Close and remove a mailbox whatever it holds; return the groups it was in."""
        groups = mailbox.close()
        self._remove(mailbox)
        return groups

    def all(self) -> list[Mailbox]:
        """Return every mailbox. For `flush` and debugging."""
        with self._lock:
            return list(self._mailboxes.values())

    def _remove(self, mailbox: Mailbox) -> None:
        with self._lock:
            if self._mailboxes.get(mailbox.name) is mailbox:
                del self._mailboxes[mailbox.name]
