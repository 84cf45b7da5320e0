"""What `docs/explanation/capacity.md` shows of the capacity model: sites, as one table."""

from __future__ import annotations

from collections.abc import Iterator

from .capacity import Costs, answer, say

EXAMPLE = "--connections 100000 --rooms 10000 --members 10 --messages 1 --connects 170"
_SIZES = ((10_000, 17), (100_000, 170), (1_000_000, 1700), (10_000_000, 17_000))
"""Connections, and how many come in a second when each stays for ten minutes."""
_MINUTE = 60


def _sites() -> Iterator[str]:
    """Rooms that talk, audiences, one room of everybody, and everybody back in a minute."""
    for rooms_of, messages in ((10, 1), (1000, 5)):
        for size, connects in _SIZES:
            yield _options(size, size // rooms_of, messages, connects)
    for size, connects in _SIZES[2:]:
        yield _options(size, 1, 10, connects)
    for size, _ in _SIZES[2:]:
        yield _options(size, size // 10, 0, size // _MINUTE)


def _options(connections: int, rooms: int, messages: float, connects: int) -> str:
    return (
        f"--connections {connections} --rooms {rooms} --members {connections // rooms}"
        f" --messages {messages} --connects {connects}"
    )


SITES = tuple(_sites())


def shown(costs: Costs) -> str:
    """What the page shows: what the program says of one site, and a table of many."""
    command = f"python -m benchmarks.capacity {EXAMPLE}"
    return f"```console\n$ {command}\n{say(*answer(EXAMPLE, costs))}\n```\n\n{table(costs)}"


def table(costs: Costs) -> str:
    """Markdown: one row a site."""
    busy, memory = "of a core: sockets, relay, joins", "memory of each"
    titles = ("options", "processes", busy, memory, "Redis", "of a core each", "limit")
    head = [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    return "\n".join([*head, *(_row(options, costs) for options in SITES)])


def _row(options: str, costs: Costs) -> str:
    load, limits, found = answer(options, costs)
    busy = (found.sockets, found.relay, found.joins)
    cores = ", ".join(f"{part / found.processes:.0%}" for part in busy)
    shards = found.shards(limits)
    return (
        f"| `{options}` | {found.processes:,} | {cores} | {found.memory:,.0f} MB"
        f" | {shards:,} | {found.redis / shards:.0%} | {found.limit(load, limits)} |"
    )
