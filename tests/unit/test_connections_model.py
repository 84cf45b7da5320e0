"""Connections, lanes and outboxes against a model: a list of frames for each connection."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from arcly_channels.fanout.audience import EVERYONE, Audience, Group, One
from arcly_channels.fanout.lanes import Lane
from arcly_channels.fanout.outbox import Outbox
from arcly_channels.registry import ConnectionRegistry
from arcly_channels.wire.envelope import Frame

MAX_FRAMES, MAX_BYTES = 8, 80
ROOMS = st.sampled_from(["a", "b"])
SIZES = st.sampled_from([0, 1, 10, 11, 41, 79, 80, 200])


class Client:
    """What is known of a connection; its peer takes frames only when a rule says so."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.frames: list[Frame] = []
        self.rooms: set[str] = set()
        self.is_there = True
        self.is_closed = False

    def has_room(self, frame: Frame) -> bool:
        size = sum(each.size for each in self.frames) + frame.size
        return not self.frames or (len(self.frames) < MAX_FRAMES and size <= MAX_BYTES)


class Model(RuleBasedStateMachine):
    clients: Bundle[Client] = Bundle("clients")

    def __init__(self) -> None:
        super().__init__()
        self.registry = ConnectionRegistry(shards=2)
        self.lanes = [Lane(), Lane()]
        self.all: list[Client] = []
        self.put_out = self.evicted = 0

    @rule(target=clients, lane=st.integers(0, 1))
    def register(self, lane: int) -> Client:
        outbox = Outbox(self.lanes[lane], max_frames=MAX_FRAMES, max_bytes=MAX_BYTES)
        client = Client(outbox)
        self.registry.register(outbox)
        self.all.append(client)
        return client

    @rule(client=clients, room=ROOMS)
    def join(self, client: Client, room: str) -> None:
        is_new = client.is_there and room not in client.rooms
        assert self.registry.join(client.outbox.connection_id, room) == is_new
        if is_new:
            client.rooms.add(room)

    @rule(client=clients, room=ROOMS)
    def leave(self, client: Client, room: str) -> None:
        assert self.registry.leave(client.outbox.connection_id, room) == (room in client.rooms)
        client.rooms.discard(room)

    @rule(size=SIZES, room=st.none() | ROOMS, times=st.integers(1, 6))
    def deliver(self, size: int, room: str | None, times: int) -> None:
        audience = EVERYONE if room is None else Group(room)
        there = [each for each in self.all if each.is_there]
        for _ in range(times):
            to = [each for each in there if room is None or room in each.rooms]
            self.expect(audience, Frame(b"x" * size), to, None)

    @rule(size=SIZES, client=clients, room=ROOMS)
    def deliver_to_others(self, size: int, client: Client, room: str) -> None:
        to = [each for each in self.all if room in each.rooms and each is not client]
        self.expect(Group(room), Frame(b"x" * size), to, client.outbox.connection_id)

    @rule(size=SIZES, client=clients, times=st.integers(1, 9))
    def deliver_to_one(self, size: int, client: Client, times: int) -> None:
        for _ in range(times):
            to = [client] if client.is_there else []
            self.expect(One(client.outbox.connection_id), Frame(b"x" * size), to, None)

    def expect(self, audience: Audience, frame: Frame, to: list[Client], out: int | None) -> None:
        self.registry.deliver(audience, frame, exclude=out)
        for client in to:
            if client.is_closed:
                continue
            if client.has_room(frame):
                client.frames.append(frame)
                self.put_out += 1
            else:
                self.evicted += 1
                self.gone(client, is_closed=True)

    def gone(self, client: Client, *, is_closed: bool) -> None:
        client.is_there, client.rooms = False, set()
        client.is_closed = client.is_closed or is_closed

    @rule(client=clients)
    def take(self, client: Client) -> None:
        expected = client.frames.pop(0) if client.frames else None
        assert client.outbox.take() is expected

    @rule(client=clients, limit=st.integers(0, 100), is_wire=st.booleans())
    def take_some(self, client: Client, limit: int, is_wire: bool) -> None:
        number = size = 0
        while number < len(client.frames) and (not number or size < limit):
            size += client.frames[number].size
            number += 1
        expected, client.frames = client.frames[:number], client.frames[number:]
        if is_wire:
            assert client.outbox.take_wire(limit) == b"".join(each.wire for each in expected)
        else:
            assert client.outbox.take_batch(limit) == expected

    @rule(client=clients)
    def close(self, client: Client) -> None:
        id = client.outbox.connection_id
        assert self.registry.close(One(id), 4000) == int(client.is_there)
        if client.is_there:
            self.gone(client, is_closed=True)

    @rule(client=clients)
    def close_outbox(self, client: Client) -> None:
        client.outbox.lane.call(client.outbox.close, 4000)
        client.is_closed = True

    @rule(client=clients)
    def evict(self, client: Client) -> None:
        assert self.registry.evict(client.outbox.connection_id) == client.is_there
        if client.is_there:
            self.evicted += 1
            self.gone(client, is_closed=True)

    @rule(client=clients)
    def unregister(self, client: Client) -> None:
        assert self.registry.unregister(client.outbox.connection_id) == client.is_there
        self.gone(client, is_closed=False)

    @invariant()
    def frames_wait_in_order_and_within_bounds(self) -> None:
        for client in self.all:
            assert list(client.outbox.frames) == client.frames
            pending = client.outbox.pending_bytes
            assert pending == sum(each.size for each in client.frames)
            assert client.outbox.pending_frames <= MAX_FRAMES
            assert pending <= MAX_BYTES or client.outbox.pending_frames == 1

    @invariant()
    def pressure_is_what_is_pending(self) -> None:
        for client in self.all:
            outbox, pending = client.outbox, client.outbox.pending_bytes
            if client.is_closed:
                assert (outbox.quota, outbox.is_pressed) == (0, False)
                continue
            assert outbox.quota in (0, MAX_FRAMES // 2)
            if not client.frames:
                assert (outbox.quota, outbox.is_pressed) == (MAX_FRAMES // 2, False)
            if 2 * len(client.frames) > MAX_FRAMES or 2 * pending > MAX_BYTES:
                assert outbox.is_pressed
            if 4 * len(client.frames) <= MAX_FRAMES and 4 * pending <= MAX_BYTES:
                assert not outbox.is_pressed

    @invariant()
    def members_and_counts_are_right(self) -> None:
        there = {each.outbox.connection_id for each in self.all if each.is_there}
        assert {each.id for each in self.registry} == there
        assert len(self.registry) == len(there)
        for room in ("a", "b"):
            members = sorted(e.outbox.connection_id for e in self.all if room in e.rooms)
            assert sorted(self.registry.room_members(room)) == members
            assert (room in self.registry.rooms()) == bool(members)
        assert self.registry.messages_out == self.put_out
        assert self.registry.evictions == self.evicted

    def teardown(self) -> None:
        for client in self.all:
            self.registry.unregister(client.outbox.connection_id)
        assert (len(self.registry), self.registry.rooms()) == (0, [])
        assert self.registry._lanes.all() == ()


TestConnections = Model.TestCase
TestConnections.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
