"""Many WebSocket clients in one process, so cheap that the server is what gets measured.

The clients are raw sockets on one epoll: a delivery costs them one `recv` and a subtraction. All
frames of a run have the same size, so counting bytes counts frames; the first member also keeps
what it got, to check the order. Between two sweeps the process naps, as a server's sends would
otherwise pay for waking it up.
"""

from __future__ import annotations

import re
import select
import socket
from collections.abc import Sequence
from time import monotonic, perf_counter, process_time, sleep
from typing import Any, NamedTuple

from .wire import TEXT, Dialect, FrameReader, client_frame, frame_size, upgrade_request

NUMBER = re.compile(rb'"n":"(\d{20})"')
_BUFFER = 1 << 18
_NAP = 0.001


class WrongResult(Exception):
    """A server lost, repeated, reordered or added something, or was too slow to say so."""


class FanOut(NamedTuple):
    """One run; a `client_load` near 1 means that the client's core was the limit."""

    seconds: float
    client_load: float


class Client:
    """One WebSocket with blocking calls: for control, and for members until they are welcomed."""

    def __init__(self, port: int, path: str, dialect: Dialect) -> None:
        self._dialect = dialect
        self._reader = FrameReader()
        self._events: list[tuple[str, Any]] = []
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.sendall(upgrade_request(port, path))

    def welcome(self) -> None:
        """Wait for the handshake's answer and for the server's "ready"."""
        head = b""
        while b"\r\n\r\n" not in head:
            head += self._receive()
        head, _, rest = head.partition(b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise WrongResult(f"handshake refused: {head!r}")
        if self._dialect.greeting is not None:
            self.socket.sendall(client_frame(self._dialect.greeting))
        self._take(rest)
        self.hear("ready")

    def tell(self, event: str, data: dict[str, Any]) -> None:
        self.socket.sendall(client_frame(self._dialect.encode(event, data)))

    def hear(self, event: str, timeout: float = 60.0) -> Any:
        """The data of the next event, which must be this one."""
        self.socket.settimeout(timeout)
        while not self._events:
            self._take(self._receive())
        name, data = self._events.pop(0)
        if name != event:
            raise WrongResult(f"expected {event!r} from the server, got {name!r}: {data!r}")
        return data

    def ask(self, event: str, data: dict[str, Any] | None = None) -> Any:
        self.tell(event, data or {})
        return self.hear("done")

    def _receive(self) -> bytes:
        data = self.socket.recv(_BUFFER)
        if not data:
            raise WrongResult("the server closed the connection")
        return data

    def _take(self, data: bytes) -> None:
        for opcode, payload in self._reader.feed(data):
            if opcode != TEXT:
                continue  # A ping, say.
            name, value = self._dialect.decode(payload.decode())
            if name:
                self._events.append((name, value))


class Swarm:
    """The members of the benchmark's room, and one client outside of it that gives the commands."""

    def __init__(self, port: int, dialect: Dialect) -> None:
        self.port = port
        self.dialect = dialect
        self.members: dict[int, socket.socket] = {}
        self.parked: list[socket.socket] = []
        self.epoll = select.epoll()
        self.control = self.open_control()
        self._next_number = 0

    def open_control(self, port: int | None = None) -> Client:
        client = Client(port or self.port, self.dialect.control_path, self.dialect)
        client.welcome()
        return client

    def connect(self, count: int, at_once: int = 32, port: int | None = None) -> float:
        """Add `count` members to the room, `at_once` at a time; the seconds that it took.

        `port` is that of another server of the same project.
        """
        return self.enter([(port or self.port, self.dialect.member_path)] * count, at_once)

    def enter(self, places: Sequence[tuple[int, str]], at_once: int = 32) -> float:
        """Add a member for each port and path; the seconds that it took."""
        started = perf_counter()
        for opened in range(0, len(places), at_once):
            clients = [
                Client(port, path, self.dialect) for port, path in places[opened : opened + at_once]
            ]
            for client in clients:
                client.welcome()
                client.socket.setblocking(False)
                self.members[client.socket.fileno()] = client.socket
                self.epoll.register(client.socket.fileno(), select.EPOLLIN)
        return perf_counter() - started

    def fan_out(self, rounds: int, burst: int, size: int, interval: float = 0) -> FanOut:
        """Every member gets `rounds * burst` ticks, timed from the command to the last byte."""
        first, frames = self._next_number, rounds * burst
        self._next_number += frames
        started, used = perf_counter(), process_time()
        self.control.tell(
            "go",
            {"rounds": rounds, "burst": burst, "size": size, "first": first, "interval": interval},
        )
        seen = self.count(frames * frame_size(size))
        seconds, used = perf_counter() - started, process_time() - used
        self.control.hear("done")
        check_numbers(seen, first, frames)
        if self.epoll.poll(0):
            raise WrongResult("members got something after the last tick")
        return FanOut(seconds, used / seconds)

    def park(self, count: int) -> None:
        """Read no more from the last `count` members; they stay connected."""
        for descriptor in list(self.members)[-count:]:
            self.epoll.unregister(descriptor)
            self.parked.append(self.members.pop(descriptor))

    def ask(self, event: str, data: dict[str, Any] | None = None) -> Any:
        return self.control.ask(event, data)

    def count(self, expected: int, timeout: float = 120.0) -> bytearray:
        """Read until every member has got exactly `expected` bytes; what the first member got."""
        missing = dict.fromkeys(self.members, expected)
        first = next(iter(self.members))
        seen = bytearray()
        buffer = memoryview(bytearray(_BUFFER))
        deadline = monotonic() + timeout
        waiting = len(missing)
        while waiting:
            if monotonic() > deadline:
                raise WrongResult(
                    f"{waiting} of {len(missing)} members still miss frames after {timeout} s"
                )
            sleep(_NAP)
            for descriptor, _ in self.epoll.poll(1.0):
                got = self.members[descriptor].recv_into(buffer)
                if descriptor == first:
                    seen += buffer[:got]
                missing[descriptor] -= got
                if not got:
                    raise WrongResult(
                        f"the server closed a member that still missed {missing[descriptor]} bytes"
                    )
                if missing[descriptor] < 0:
                    raise WrongResult(f"a member got {-missing[descriptor]} bytes too many")
                waiting -= not missing[descriptor]
        return seen


def check_numbers(seen: bytes | bytearray, first: int, count: int) -> None:
    """Raise unless the ticks in `seen` are numbered from `first` on, once each and in order."""
    numbers = [int(number) for number in NUMBER.findall(seen)]
    if numbers != list(range(first, first + count)):
        raise WrongResult(
            f"expected ticks {first} to {first + count - 1} in order, got {len(numbers)} others"
        )
