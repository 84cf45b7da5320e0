"""Who takes nothing of what waits is found by what its system acknowledges."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from arcly_channels.close_codes import CloseCode
from arcly_channels.fanout.connections import Connections
from arcly_channels.fanout.lanes import Lane
from arcly_channels.fanout.liveness import LOOKS, Liveness
from arcly_channels.fanout.outbox import Outbox
from arcly_channels.fanout.pump import Pump
from arcly_channels.testing.waiting import eventually
from arcly_channels.wire.envelope import Frame
from tests.peers import Peer

TIMEOUT = 6.0
FRAME = Frame.from_text("frame")


class Turns(Lane):
    """A lane whose timers run when the test says so."""

    has_turns = True

    def __init__(self) -> None:
        super().__init__()
        self.due: list[tuple[Callable[..., object], tuple[object, ...]]] = []

    def call_later(self, seconds: float, function: Callable[..., object], *args: object) -> None:
        self.due.append((function, args))


class Kernel(Peer):
    """A kernel that takes every frame, of which the client's takes `rate` bytes per look."""

    def __init__(self, rate: int | None) -> None:
        super().__init__()
        self.unread_bytes, self.rate, self.looks = 1, rate, 0

    def acknowledged(self) -> int | None:
        self.looks += 1
        return None if self.rate is None else self.looks * self.rate


@pytest.mark.parametrize(("rate", "is_found"), [(0, True), (1, False), (None, False)])
def test_only_who_acknowledges_nothing_stalls_while_frames_go_on_coming(
    rate: int | None, is_found: bool
) -> None:
    lane, kernel, found, now = Turns(), Kernel(rate), list[Outbox](), [0.0]
    outbox = Outbox(lane, kernel)
    Liveness(
        lambda _: True, lambda: TIMEOUT, lambda _: [outbox], found.append, lambda: now[0]
    ).start(lane)
    for _ in range(2 * LOOKS):
        outbox.put(FRAME)
        outbox.flush()
        kernel.unread_bytes = (kernel.unread_bytes or 0) + FRAME.size
        now[0] += TIMEOUT / LOOKS
        function, args = lane.due.pop()
        function(*args)
    assert bool(found) is is_found


@pytest.mark.parametrize(
    ("silent", "code", "evictions"),
    [(0.01, CloseCode.SLOW_CONSUMER, 1), (60.0, CloseCode.IDLE_TIMEOUT, 0)],
)
async def test_who_stalls_is_slow_unless_its_system_is_silent(
    silent: float, code: CloseCode, evictions: int
) -> None:
    connections = Connections(stall_timeout=lambda: 0.06)
    peer = Peer()
    peer.unread_bytes, peer.seconds_silent = 1, silent
    connections.add(Outbox(Pump(asyncio.get_running_loop()), peer))
    await eventually(lambda: peer.close_code is not None)
    assert (peer.close_code, connections.evictions) == (code, evictions)
    assert connections.idle_reaped == 1 - evictions
