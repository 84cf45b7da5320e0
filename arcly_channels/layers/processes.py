"""Whether the gateways are in this process: a layer of one process reaches nobody in another.

Both mistakes would be silent otherwise: publishing where there are no gateways, and serving
gateways from two processes, whose clients do not hear each other.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from arcly_channels.conf.settings import project_digest

try:
    import fcntl
except ImportError:  # On Windows. A second process goes unnoticed there.
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)


class Presence:
    """What one process knows of itself and of the others of its project on this machine.

    The first process in which a gateway accepts a client locks a file in the directory for
    temporary files, and keeps the lock until it ends, however it ends. Everything goes by the
    process id, because a fork inherits this object and neither the lock nor the clients.
    """

    def __init__(self) -> None:
        self._serving: int | None = None  # The process in which a gateway ran.
        self._locked: int | None = None  # The process that holds the lock.
        self._told: set[str] = set()
        self._file: int | None = None

    def gateway_opened(self, scope: Mapping[str, Any]) -> None:
        """Note that a gateway accepted a client; log an error, once, where another process does.

        A client of a test, which no server has brought, has no address and takes no lock.
        """
        process = os.getpid()
        self._serving = process
        if fcntl is None or self._locked == process or "client" not in scope:
            return
        with suppress(OSError):  # No file, no word: there is nothing wrong with the gateway.
            self._lock(process)

    def published(self) -> None:
        """Note that an event was published; log a warning, once, where no gateway ever ran."""
        if self._serving != os.getpid():
            self._tell(
                logging.WARNING,
                "An event was published in process %d, in which no gateway has run so far: it "
                "reaches the clients of this process only. From a worker, a command or a shell, "
                "ask the server to publish. If this is the server, no client has come yet.",
                os.getpid(),
            )

    def _lock(self, process: int) -> None:
        if self._file is None:
            # Never closed again: closing any descriptor of the file would give up the lock.
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
            self._file = os.open(lock_path(), flags, 0o600)
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # Which of both depends on the system.
            self._tell(
                logging.ERROR,
                "Process %d has gateways, and so does process %s of this project: their clients do "
                "not hear each other. LocalChannelLayer needs one server process, with one worker.",
                process,
                os.pread(self._file, 20, 0).decode("ascii", "replace") or "another",
            )
            return  # The next client tries again: the other process may be about to end.
        self._locked = process
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, str(process).encode(), 0)

    def _tell(self, level: int, message: str, *values: object) -> None:
        if message not in self._told:
            self._told.add(message)
            logger.log(level, message, *values)


def lock_path() -> Path:
    """Return the file whose lock says that a process of this project has gateways."""
    import tempfile

    return Path(tempfile.gettempdir()) / f"arcly-channels-{project_digest()}.lock"


presence = Presence()
"""Of this process."""
