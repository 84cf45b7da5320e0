"""A client of one tenant tries, by any name and in any order, to reach another tenant's."""

from __future__ import annotations

import asyncio
import re

from hypothesis import example, given
from hypothesis import strategies as st

from arcly_channels.fanout.lanes import Lane
from arcly_channels.fanout.outbox import Outbox
from arcly_channels.layers.local import LocalChannelLayer
from arcly_channels.rooms import group_name, lobby_name
from arcly_channels.session.client import ClientHandle

ROOMS = ("news", "arcly.lobby", "a.b", "é")

SPELLINGS = [
    spelling
    for room in ROOMS
    for spelling in (
        room, f"acme.{room}", f"arcly.t.acme.{room}", f"t.acme.{room}", f"arcly.r.{room}",
        f"../acme/{room}", f"arcly.t.globex.acme.{room}", f"arcly.lobby.acme.{room}",
    )
]  # fmt: skip
NAMES = st.text(min_size=1, max_size=100) | st.sampled_from(SPELLINGS)
ENCODED = st.builds(group_name, NAMES, st.sampled_from([None, "globex", "acme.news", "t"]))
MOVES = st.lists(
    st.tuples(st.sampled_from(["join", "leave", "room", "all", "send", "add"]), NAMES | ENCODED),
    min_size=1,
    max_size=12,
)
VALID = re.compile(r"[a-zA-Z0-9\-_.]{1,99}", re.ASCII)


async def client(layer: LocalChannelLayer, lane: Lane, tenant: str) -> tuple[str, ClientHandle]:
    channel, outbox = await layer.new_channel(), Outbox(lane)
    id = layer.connect(channel, outbox)
    await layer.join(id, lobby_name(tenant))
    return channel, ClientHandle(layer, outbox, id, claims=None, tenant=tenant)


async def attack(
    layer: LocalChannelLayer, channel: str, attacker: ClientHandle, move: str, name: str
) -> None:
    """Do what a client can make a gateway do, the last two only a careless one."""
    if move == "join":
        await attacker.join_room(name)
    elif move == "leave":
        await attacker.leave_room(name)
    elif move == "room":
        await attacker.broadcast_to_room(name, "stolen")
    elif move == "all":
        await attacker.broadcast("stolen")
    elif VALID.fullmatch(name) and move == "send":
        message = {"type": "gateway.event", "event": "stolen", "group": name, "room": name}
        await layer.group_send(name, message)
    elif VALID.fullmatch(name):
        await layer.group_add(name, channel)


@given(MOVES)
@example([(move, spelling) for spelling in SPELLINGS for move in ("join", "room", "send", "add")])
def test_a_tenant_is_not_reached_from_another(moves: list[tuple[str, str]]) -> None:
    async def attempt() -> None:
        layer, lane = LocalChannelLayer(), Lane()
        _, victim = await client(layer, lane, "acme")
        channel, attacker = await client(layer, lane, "globex")
        for room in ROOMS:
            await victim.join_room(room)
        for move, name in moves:
            await attack(layer, channel, attacker, move, name)
        assert victim.pending_frames == 0
        before = attacker.pending_frames
        await victim.broadcast("own")
        for room in ROOMS:
            await victim.broadcast_to_room(room, "own")
        assert victim.pending_frames == 1 + len(ROOMS)
        assert attacker.pending_frames == before

    asyncio.run(attempt())
