"""Another machine, as far as the network can tell, whose cable a test can cut."""

from __future__ import annotations

import ctypes
import ipaddress
import os
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

from tests.servers import skip_for_want_of

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")

CLONE_NEWNET = 0x40000000
FIRST = ipaddress.ip_address("198.18.0.0")
"""The first of 2**17 addresses that are for tests of networks (RFC 2544)."""
ADDRESS = "02:00:00:00:00:02"
"""That of the island's end of the cable. It is known here, so that nobody misses an answer."""


class Island:
    """A network of its own, with one cable to ours; `shore` is our address on it, `address` its.

    Its namespace has no name and belongs to a thread, so it is gone, and the cable with it, when
    the thread and its sockets are, even if the tests are killed.
    """

    def __init__(self) -> None:
        if not hasattr(os, "geteuid") or os.geteuid() or not shutil.which("ip"):
            skip_for_want_of("root, with the command ip, to make networks,")
        here = FIRST + 4 * (os.getpid() % 2**15)  # Runs side by side have one each.
        self.shore, self.address = str(here + 1), str(here + 2)
        self._cable = f"arcly{os.getpid()}"
        self._thread = ThreadPoolExecutor(1)

    def run(self, function: Callable[..., T], *arguments: object, **more: object) -> T:
        """Call a function there: the sockets that it makes are there."""
        return self._thread.submit(function, *arguments, **more).result()

    def cut(self) -> None:
        """Lose every packet from now on, on either way, without a word to anybody."""
        self.run(_ip, "link set cable down")

    def sockets(self) -> list[str]:
        """Return the states of our TCP sockets whose other end is there."""
        name = ipaddress.ip_address(self.address).packed[::-1].hex().upper()
        rows = map(str.split, Path("/proc/net/tcp").read_text().splitlines())
        return [row[3] for row in rows if row[2].startswith(name)]

    def __enter__(self) -> Self:
        try:
            self.run(_leave_network)
            here = f"peer name {self._cable} netns {os.getpid()}"
            self.run(_ip, f"link add cable address {ADDRESS} type veth {here}")
            self.run(_ip, f"address add {self.address}/30 dev cable")
            self.run(_ip, "link set cable up")
            _ip(f"address add {self.shore}/30 dev {self._cable}")
            _ip(f"link set {self._cable} up")
            _ip(f"neighbour add {self.address} lladdr {ADDRESS} dev {self._cable} nud permanent")
        except BaseException:
            self._sink()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._sink()

    def _sink(self) -> None:
        subprocess.run(["ip", "link", "delete", self._cable], check=False, capture_output=True)
        self._thread.shutdown()


def _leave_network() -> None:
    """Give the calling thread, and no other one, a network without anybody in it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        skip_for_want_of(f"the right to make networks ({os.strerror(ctypes.get_errno())})")


def _ip(command: str) -> None:
    subprocess.run(["ip", *command.split()], check=True, capture_output=True, timeout=10)
