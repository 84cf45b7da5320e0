"""Every client is asked once per interval, and one that gives no sign of life is found."""

from __future__ import annotations

from collections.abc import Callable

from arcly_channels.fanout.heartbeat import LATE, Heartbeat
from arcly_channels.fanout.lanes import Lane
from arcly_channels.fanout.outbox import Outbox
from arcly_channels.fanout.rows import NOBODY, Connection
from tests.peers import Peer

INTERVAL, TIMEOUT = 4.0, 10.0


class Asked(Peer):
    """A client that answers, or does not, or whose answers nobody would hear."""

    def __init__(self, *, answers: bool = True, is_heard: bool = True) -> None:
        super().__init__()
        self.answers, self.is_heard = answers, is_heard
        self.asked = 0

    def ask(self, outbox: Outbox) -> bool:
        self.asked += 1
        return self.is_heard


class Turns(Lane):
    """A lane with a clock of its own."""

    has_turns = True

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.found: list[int] = []
        self.connections: list[Connection] = []
        self._due: tuple[float, Callable[..., object], tuple[object, ...]] | None = None
        self.heartbeat = Heartbeat(
            lambda lane: bool(self.connections),
            lambda: INTERVAL,
            lambda: TIMEOUT,
            lambda lane, part, parts: [c for c in self.connections if c.id % parts == part],
            lambda connection: self.found.append(connection.id),
            lambda: self.now,
        )

    def add(self, peer: Asked) -> Connection:
        id = len(self.connections) + 1
        self.connections.append(Connection(id, "", Outbox(self, peer), NOBODY, self.now))
        self.heartbeat.start(self)
        return self.connections[-1]

    def call_later(self, seconds: float, function: Callable[..., object], *args: object) -> None:
        self._due = (self.now + seconds, function, args)

    def pass_time(self, seconds: float, late: float = 0) -> None:
        """Let time pass, in which clients answer; the first timer is that much too late."""
        until = self.now + seconds
        while self._due is not None and self._due[0] + late <= until:
            due, function, args = self._due
            self._due = None
            self.now, late = due + late, 0
            function(*args)
            for each in self.connections:
                peer = each.outbox.transport
                if isinstance(peer, Asked) and peer.answers:
                    each.last_seen = self.now
        self.now = until


def test_every_client_is_asked_once_per_interval() -> None:
    lane, peers = Turns(), [Asked() for _ in range(6)]
    for peer in peers:
        lane.add(peer)
    lane.pass_time(3 * INTERVAL)
    assert [peer.asked for peer in peers] == [3] * 6


def test_not_all_are_asked_at_once() -> None:
    lane, peers = Turns(), [Asked() for _ in range(8)]
    for peer in peers:
        lane.add(peer)
    lane.pass_time(INTERVAL / 4)
    assert sum(peer.asked for peer in peers) == 2


def test_only_who_gives_no_sign_of_life_is_found() -> None:
    lane = Turns()
    lane.add(Asked())
    dead = lane.add(Asked(answers=False))
    lane.pass_time(TIMEOUT + INTERVAL)
    assert set(lane.found) == {dead.id}


def test_nobody_is_found_before_the_timeout() -> None:
    lane = Turns()
    lane.add(Asked(answers=False))
    lane.pass_time(TIMEOUT)
    assert lane.found == []


def test_client_whose_answers_are_not_heard_stays() -> None:
    lane = Turns()
    lane.add(Asked(answers=False, is_heard=False))
    lane.pass_time(10 * TIMEOUT)
    assert lane.found == []


def test_loop_that_was_blocked_judges_nobody_at_once() -> None:
    lane = Turns()
    lane.add(Asked())
    lane.pass_time(INTERVAL)
    lane.pass_time(2 * TIMEOUT, late=2 * TIMEOUT - LATE)
    assert lane.found == []


def test_heartbeat_ends_with_the_last_connection_and_begins_anew() -> None:
    lane = Turns()
    lane.add(Asked())
    lane.connections.clear()
    lane.pass_time(2 * INTERVAL)
    assert lane._due is None
    peer = Asked()
    lane.add(peer)
    lane.pass_time(INTERVAL)
    assert peer.asked == 1


def test_transport_that_fails_to_ask_disturbs_no_other() -> None:
    class Broken(Asked):
        def ask(self, outbox: Outbox) -> bool:
            raise RuntimeError("a bug")

    lane, other = Turns(), Asked()
    broken = lane.add(Broken())
    lane.add(other)
    lane.pass_time(2 * INTERVAL)
    assert other.asked == 2
    assert broken.outbox.close_code == 1011
