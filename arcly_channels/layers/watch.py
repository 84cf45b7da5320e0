"""What goes on in this process, in numbers and with the clients that are furthest behind."""

from __future__ import annotations

import heapq
import os
import time
from collections.abc import Iterator
from typing import Any

from arcly_channels.fanout.survey import Backlog, backlogs
from arcly_channels.fanout.tally import Tally
from arcly_channels.layers.base import GatewayLayer
from arcly_channels.rooms import is_room


def overview(layers: list[GatewayLayer], clients: int, wanted: str = "") -> dict[str, Any]:
    """Return what there is to see, as JSON takes it, with at most so many `clients`.

    Those for whom most waits come first; with `wanted`, only those who have that in their user,
    tenant, path or address. `clock` never goes back, and is what rates are made with.
    Costs about three microseconds for each connection. From any thread.
    """
    tally, sizes = Tally(), []
    for layer in layers:
        tally.absorb(layer.registry.tally())
        sizes += [size for group, size in layer.registry.sizes() if is_room(group)]
    found = [(backlog, layer) for layer in layers for backlog in backlogs(layer.registry)]
    return {
        "process": os.getpid(),
        "clock": time.monotonic(),
        "connections": len(found),
        "rooms": len(sizes),
        "members": sum(sizes),
        "frames_out": tally.frames,
        "bytes_out": tally.bytes,
        "events_in": sum(event.came for event in tally.events.values()),
        "evictions": sum(layer.registry.evictions for layer in layers),
        "pending_frames": sum(backlog.frames for backlog, _ in found),
        "pending_bytes": sum(backlog.size for backlog, _ in found),
        "problems": [{"what": what, "why": why} for what, why in problems_of(layers)],
        "clients": [
            _client(backlog, layer)
            for backlog, layer in heapq.nlargest(
                clients,
                (each for each in found if _is_wanted(each[0], wanted)),
                key=_how_far_behind,
            )
        ],
    }


def problems_of(layers: list[GatewayLayer]) -> Iterator[tuple[str, str]]:
    """Yield what keeps clients from being served well here: what it is, and why."""
    for layer in layers:
        yield from layer.problems()


def _is_wanted(backlog: Backlog, wanted: str) -> bool:
    return not wanted or any(wanted in (part or "") for part in backlog.connection.about)


def _how_far_behind(found: tuple[Backlog, GatewayLayer]) -> tuple[int, int]:
    return found[0].size, found[0].frames


def _client(backlog: Backlog, layer: GatewayLayer) -> dict[str, Any]:
    connection = backlog.connection
    return {
        # As in its welcome: a number alone would be another client's after a restart.
        "id": f"{layer.node}-{connection.id}",
        **connection.about._asdict(),
        "frames": backlog.frames,
        "bytes": backlog.size,
        "rooms": sum(map(is_room, connection.groups.copy())),
        "seconds": round(layer.registry.clock() - connection.since, 1),
    }
