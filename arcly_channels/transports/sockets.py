"""Ending a TCP connection that its ASGI server does not end: ASGI has no word for that."""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

_DESCRIPTORS = Path("/proc/self/fd")
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, for no time. Closing sends a RST.


def reset_connection(scope: dict[str, Any]) -> bool:
    """Reset the TCP connection between `scope`'s server and client; return whether it was found.

    It is looked for among the sockets of this process by its two addresses, so it is not found
    where there is no /proc, on a unix socket, or when a proxy's headers have changed the addresses.
    The cost grows with the number of open files: call it in a thread.
    """
    client, server = scope.get("client"), scope.get("server")
    if not client or not server or not server[1] or not _DESCRIPTORS.is_dir():
        return False
    peer, port = (client[0], int(client[1])), int(server[1])
    for name in os.listdir(_DESCRIPTORS):  # noqa: PTH208  # Names, not 10,000 paths.
        try:
            if not os.readlink(_DESCRIPTORS / name).startswith("socket:"):  # noqa: PTH115
                continue
            found = socket.socket(fileno=os.dup(int(name)))
        except OSError:
            continue  # It was closed meanwhile.
        with found:
            if _connects(found, peer, port):
                with suppress(OSError):  # The peer was faster.
                    found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    found.shutdown(socket.SHUT_RDWR)
                return True
    return False


def _connects(found: socket.socket, peer: tuple[str, int], port: int) -> bool:
    if found.type != socket.SOCK_STREAM or found.family not in (socket.AF_INET, socket.AF_INET6):
        return False
    try:
        return bool(found.getpeername()[:2] == peer and found.getsockname()[1] == port)
    except OSError:
        return False  # It is not connected.
