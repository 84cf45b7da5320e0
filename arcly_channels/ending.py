"""Whether the server of this process has begun to end: said by whoever notices it first."""

from __future__ import annotations


class Ending:
    """Says so for good: a process that has begun to end does not go on."""

    is_begun = False

    def begin(self) -> None:
        """Note that no new clients should come here. Idempotent; from any thread."""
        self.is_begun = True


ending = Ending()
