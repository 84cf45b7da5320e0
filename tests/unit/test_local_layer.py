"""The local layer as gateways see it: channels with a connection, groups that are rooms."""

from __future__ import annotations

import asyncio
import datetime
import decimal
import threading
import types
import uuid
from typing import TYPE_CHECKING, Any

import pytest
from asgiref.sync import async_to_sync
from django.core import mail

from arcly_channels.close_codes import CloseCode
from arcly_channels.exceptions import EnvelopeError, UnportableMessage
from arcly_channels.fanout.outbox import Outbox
from arcly_channels.layers import LocalChannelLayer
from arcly_channels.layers.mailbox import EVICTED
from arcly_channels.layers.stall import STALL
from arcly_channels.testing import Clock
from arcly_channels.testing.waiting import DEADLINE, eventually, soon, turns
from arcly_channels.wire.envelope import Frame

if TYPE_CHECKING:
    from pytest_django import Settings

EVENT = {"type": "gateway.event", "event": "news", "data": [1]}
NEWS = '{"event":"news","data":[1]}'
PLAIN = {"type": "plain.message"}
CHANNEL = "gateway!one"


def connect(layer: LocalChannelLayer, channel: str = CHANNEL) -> Outbox:
    """Connect a gateway whose outbox nobody empties but the test."""
    outbox = Outbox(layer.pump())
    layer.connect(channel, outbox)
    return outbox


def texts(outbox: Outbox) -> list[str]:
    found = []
    while (frame := outbox.take()) is not None:
        found.append(frame.text)
    return found


# Groups of gateways


async def test_gateway_joins_rooms_by_group_add(layer: LocalChannelLayer) -> None:
    outbox = connect(layer)
    await layer.group_add("room", CHANNEL)
    assert layer.registry.room_members("room") == [outbox.connection_id]


async def test_gateway_leaves_rooms_by_group_discard(layer: LocalChannelLayer) -> None:
    connect(layer)
    await layer.group_add("room", CHANNEL)
    await layer.group_discard("room", CHANNEL)
    assert layer.registry.rooms() == []


async def test_groups_from_before_the_connection_are_rooms_after_it(
    layer: LocalChannelLayer,
) -> None:
    await layer.group_add("room", CHANNEL)
    outbox = connect(layer)
    await layer.group_send("room", EVENT)
    assert texts(outbox) == [NEWS]
    assert layer.registry.rooms() == ["room"]


async def test_gateways_are_shown_in_their_groups(layer: LocalChannelLayer) -> None:
    outbox = connect(layer)
    await layer.join(outbox.connection_id, "room")
    await layer.group_add("room", "plain")
    assert dict(layer.groups) == {"room": {CHANNEL, "plain"}}


async def test_membership_of_a_gateway_does_not_expire(
    gateway_clock: Clock,
) -> None:
    layer = LocalChannelLayer(group_expiry=60)
    outbox = connect(layer)
    await layer.group_add("room", CHANNEL)
    gateway_clock.jump(61)
    await layer.group_send("room", EVENT)
    assert texts(outbox) == [NEWS]


# Events


async def test_event_for_a_group_reaches_its_gateways_as_a_frame(layer: LocalChannelLayer) -> None:
    outbox = connect(layer)
    await layer.group_add("room", CHANNEL)
    await layer.group_send("room", EVENT)
    assert texts(outbox) == [NEWS]


async def test_event_for_a_group_is_encoded_once(layer: LocalChannelLayer) -> None:
    outboxes = [connect(layer, f"gateway!{number}") for number in range(3)]
    for number in range(3):
        await layer.group_add("room", f"gateway!{number}")
    await layer.group_send("room", EVENT)
    assert len({id(outbox.take()) for outbox in outboxes}) == 1


async def test_event_for_a_channel_reaches_its_gateway_as_a_frame(layer: LocalChannelLayer) -> None:
    outbox = connect(layer)
    await layer.send(CHANNEL, EVENT)
    assert texts(outbox) == [NEWS]


async def test_event_is_no_message_on_the_channel_of_a_gateway(layer: LocalChannelLayer) -> None:
    connect(layer)
    await layer.group_add("room", CHANNEL)
    await layer.group_send("room", EVENT)
    await layer.send(CHANNEL, EVENT)
    assert not any(layer.channels.values())


async def test_event_reaches_other_consumers_as_the_message_it_is(layer: LocalChannelLayer) -> None:
    connect(layer)
    await layer.group_add("room", CHANNEL)
    await layer.group_add("room", "plain")
    await layer.group_send("room", EVENT)
    assert await soon(layer.receive("plain")) == EVENT


async def test_event_without_data_has_null(layer: LocalChannelLayer) -> None:
    outbox = connect(layer)
    await layer.send(CHANNEL, {"type": "gateway.event", "event": "ping"})
    assert texts(outbox) == ['{"event":"ping","data":null}']


@pytest.mark.parametrize("message", [{**EVENT, "data": {1}}, {"type": "gateway.event"}], ids=str)
async def test_event_that_cannot_be_written_is_sent_to_nobody(
    layer: LocalChannelLayer, message: dict[str, Any]
) -> None:
    outbox = connect(layer)
    await layer.group_add("room", CHANNEL)
    await layer.group_add("room", "plain")
    with pytest.raises(EnvelopeError):
        await layer.group_send("room", message)
    assert (texts(outbox), layer.channels["plain"]) == ([], ())


async def test_event_does_not_fill_the_channel_of_a_gateway() -> None:
    layer = LocalChannelLayer(capacity=1)
    outbox = connect(layer)
    await layer.group_add("room", CHANNEL)
    for _ in range(10):
        await layer.group_send("room", EVENT)
    assert (len(texts(outbox)), layer.registry.evictions) == (10, 0)


# Plain messages


async def test_plain_message_for_a_group_reaches_the_channel_of_a_gateway(
    layer: LocalChannelLayer,
) -> None:
    outbox = connect(layer)
    await layer.group_add("room", CHANNEL)
    await layer.group_send("room", PLAIN)
    assert (await soon(layer.receive(CHANNEL)), texts(outbox)) == (PLAIN, [])


async def test_gateway_that_takes_nothing_from_its_full_channel_is_evicted(
    gateway_clock: Clock,
) -> None:
    layer = LocalChannelLayer(capacity=1)
    outbox = connect(layer)
    await layer.group_add("room", CHANNEL)
    await layer.group_send("room", PLAIN)
    await layer.group_send("room", PLAIN)
    assert layer.registry.evictions == 0
    gateway_clock.jump(STALL)
    await layer.group_send("any", PLAIN)
    assert (layer.registry.connection_count(), layer.registry.rooms()) == (0, [])
    assert (outbox.close_code, layer.registry.evictions) == (CloseCode.SLOW_CONSUMER, 1)


async def test_future_is_given_the_eviction_that_is_known_by_identity(
    gateway_clock: Clock,
) -> None:
    layer = LocalChannelLayer(capacity=1)
    await layer.group_add("room", CHANNEL)
    for _ in range(2):
        await layer.group_send("room", PLAIN)
    gateway_clock.jump(STALL)
    await layer.group_send("any", PLAIN)
    assert [layer.wait(CHANNEL).result() is EVICTED for _ in range(3)] == [False, False, True]


@pytest.mark.usefixtures("many_switches")
async def test_plain_messages_of_threads_at_once_all_reach_a_gateway() -> None:
    layer, each, threads = LocalChannelLayer(capacity=100_000), 500, 4
    for channel in (*(f"gateway!{number}" for number in range(50)), CHANNEL):
        connect(layer, channel)
        await layer.group_add("room", channel)

    def send() -> None:
        for _ in range(each):
            layer.group_send_now("room", PLAIN)

    running = [threading.Thread(target=send) for _ in range(threads)]
    for thread in running:
        thread.start()
    for _ in range(each * threads):
        assert await soon(layer.receive(CHANNEL)) == PLAIN
    for thread in running:
        thread.join(DEADLINE)


# Frames


async def test_frame_is_published_to_a_group(layer: LocalChannelLayer) -> None:
    inside, outside = connect(layer, "gateway!in"), connect(layer, "gateway!out")
    await layer.join(inside.connection_id, "room")
    await layer.publish("room", Frame.from_text("hello"))
    assert (texts(inside), texts(outside)) == (["hello"], [])


async def test_frame_is_published_to_everybody(layer: LocalChannelLayer) -> None:
    outboxes = [connect(layer, f"gateway!{number}") for number in range(3)]
    await layer.publish(None, Frame.from_text("hello"))
    assert [texts(outbox) for outbox in outboxes] == [["hello"]] * 3


@pytest.mark.parametrize("group", ["room", None])
async def test_publishing_can_exclude_one(layer: LocalChannelLayer, group: str | None) -> None:
    one, other = connect(layer, "gateway!one"), connect(layer, "gateway!other")
    for outbox in (one, other):
        await layer.join(outbox.connection_id, "room")
    await layer.publish(group, Frame.from_text("hello"), exclude=one.connection_id)
    assert (texts(one), texts(other)) == ([], ["hello"])


async def test_frame_is_sent_to_one_connection(layer: LocalChannelLayer) -> None:
    one, other = connect(layer, "gateway!one"), connect(layer, "gateway!other")
    await layer.send_frame(one.connection_id, Frame.from_text("hello"))
    assert (texts(one), texts(other)) == (["hello"], [])


async def test_left_room_gets_nothing_more(layer: LocalChannelLayer) -> None:
    outbox = connect(layer)
    await layer.join(outbox.connection_id, "room")
    await layer.leave(outbox.connection_id, "room")
    await layer.publish("room", Frame.from_text("hello"))
    assert texts(outbox) == []


# The end


async def test_disconnected_gateway_is_in_no_view(layer: LocalChannelLayer) -> None:
    connect(layer)
    await layer.group_add("room", CHANNEL)
    await layer.group_send("room", PLAIN)
    layer.disconnect(CHANNEL)
    assert (dict(layer.channels), dict(layer.groups)) == ({}, {})
    assert layer.registry.connection_count() == 0


async def test_gateway_may_be_disconnected_twice(layer: LocalChannelLayer) -> None:
    connect(layer)
    layer.disconnect(CHANNEL)
    layer.disconnect(CHANNEL)
    assert layer.registry.connection_count() == 0


async def test_channel_that_never_had_a_connection_is_forgotten(layer: LocalChannelLayer) -> None:
    await layer.group_add("room", CHANNEL)
    layer.disconnect(CHANNEL)
    assert (dict(layer.channels), dict(layer.groups)) == ({}, {})


async def test_flush_leaves_gateways_connected(layer: LocalChannelLayer) -> None:
    outbox = connect(layer)
    await layer.group_add("room", CHANNEL)
    await layer.flush()
    await layer.group_send("room", EVENT)
    await layer.send(CHANNEL, EVENT)
    assert texts(outbox) == [NEWS]


# Loops


async def test_loop_has_one_pump(layer: LocalChannelLayer) -> None:
    pump = layer.pump()
    assert layer.pump() is pump


async def test_every_loop_has_a_pump_of_its_own(layer: LocalChannelLayer) -> None:
    async def elsewhere() -> object:
        return layer.pump()

    assert await asyncio.to_thread(lambda: asyncio.run(elsewhere())) is not layer.pump()


async def test_event_from_a_thread_reaches_a_gateway(layer: LocalChannelLayer) -> None:
    outbox = connect(layer)
    await layer.group_add("room", CHANNEL)
    await asyncio.to_thread(lambda: async_to_sync(layer.group_send)("room", EVENT))
    await eventually(lambda: outbox.pending_frames)
    assert texts(outbox) == [NEWS]


def test_layer_is_usable_by_one_loop_after_another() -> None:
    layer = LocalChannelLayer()
    async_to_sync(layer.group_add)("group", CHANNEL)
    async_to_sync(layer.group_send)("group", PLAIN)
    assert async_to_sync(layer.receive)(CHANNEL) == PLAIN


def test_groups_of_a_gateway_are_deleted_with_the_others() -> None:
    async def run() -> None:
        layer = LocalChannelLayer()
        connect(layer)
        await layer.group_add("room", CHANNEL)
        assert layer.groups["room"] == {CHANNEL: 0.0}
        layer.groups.clear()
        assert layer.registry.rooms() == []

    asyncio.run(run())


async def test_message_from_a_thread_outlives_a_receiver_cancelled_just_before(
    layer: LocalChannelLayer,
) -> None:
    receiver = asyncio.create_task(layer.receive(CHANNEL))
    await turns()
    receiver.cancel()
    thread = threading.Thread(target=layer.send_now, args=(CHANNEL, PLAIN))
    thread.start()
    thread.join(DEADLINE)  # With the loop standing still: the receiver has not noticed yet.
    await turns()
    assert await soon(layer.receive(CHANNEL)) == PLAIN


# Waiting without a task


async def test_future_is_given_the_next_message(layer: LocalChannelLayer) -> None:
    waiter = layer.wait(CHANNEL)
    assert not waiter.done()
    await layer.send(CHANNEL, PLAIN)
    message = await soon(waiter)
    assert message is not None
    assert message() == PLAIN


async def test_future_is_done_at_once_where_a_message_waits(layer: LocalChannelLayer) -> None:
    await layer.send(CHANNEL, PLAIN)
    message = layer.wait(CHANNEL).result()
    assert message is not None
    assert message() == PLAIN


async def test_future_that_is_given_back_leaves_its_message_to_another(
    layer: LocalChannelLayer,
) -> None:
    waiter, receiver = layer.wait(CHANNEL), asyncio.create_task(layer.receive(CHANNEL))
    await turns()
    await layer.send(CHANNEL, PLAIN)
    layer.stop_waiting(CHANNEL, waiter)
    assert await soon(receiver) == PLAIN


async def test_future_that_is_given_back_keeps_its_message_for_later(
    layer: LocalChannelLayer,
) -> None:
    waiter = layer.wait(CHANNEL)
    await layer.send(CHANNEL, PLAIN)
    layer.stop_waiting(CHANNEL, waiter)
    assert await soon(layer.receive(CHANNEL)) == PLAIN
    assert not layer.channels


async def test_future_that_is_given_back_keeps_no_channel(layer: LocalChannelLayer) -> None:
    waiter = layer.wait(CHANNEL)
    layer.stop_waiting(CHANNEL, waiter)
    layer.stop_waiting("unknown", waiter)
    assert not layer.channels


async def test_future_of_a_closed_loop_keeps_no_message_from_another(
    layer: LocalChannelLayer,
) -> None:
    async def wait() -> None:
        assert layer.wait(CHANNEL) is not None

    await asyncio.to_thread(lambda: asyncio.run(wait()))
    receiver = asyncio.create_task(layer.receive(CHANNEL))
    await turns()
    await layer.send(CHANNEL, PLAIN)
    assert await soon(receiver) == PLAIN


# Messages that no relay would carry


UNPORTABLE = {"type": "plain.message", "values": [types.SimpleNamespace(parts=[1])]}


@pytest.fixture
def in_production(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes it look as if no tests had been set up; DEBUG is off as it is."""
    monkeypatch.delattr(mail, "outbox")


@pytest.mark.parametrize("strict", [True, None])
async def test_strict_layer_refuses_what_no_relay_would_carry(strict: bool | None) -> None:
    layer = LocalChannelLayer(strict=strict)
    connect(layer)
    for channel in (CHANNEL, "plain"):
        await layer.group_add("room", channel)
    with pytest.raises(UnportableMessage):
        await layer.send("plain", UNPORTABLE)
    with pytest.raises(UnportableMessage):
        layer.send_now("plain", UNPORTABLE)
    with pytest.raises(UnportableMessage):
        await layer.group_send("room", UNPORTABLE)
    with pytest.raises(UnportableMessage):
        layer.group_send_now("room", UNPORTABLE)
    assert not layer.channels["plain"]


async def test_refusal_says_where_and_why_and_what_to_do() -> None:
    with pytest.raises(TypeError) as raised:
        await LocalChannelLayer().send("plain", UNPORTABLE)
    assert str(raised.value) == (
        "message.values[0] would not survive a relay between processes: it is of the type "
        "SimpleNamespace; send its key or its text, or say strict=False in the layer's CONFIG if "
        "there will only ever be one process"
    )


@pytest.mark.usefixtures("in_production")
@pytest.mark.parametrize(("strict", "debug"), [(None, False), (False, True)])
async def test_layer_that_is_not_strict_carries_anything(
    settings: Settings, strict: bool | None, debug: bool
) -> None:
    settings.DEBUG = debug
    layer = LocalChannelLayer(strict=strict)
    await layer.send("plain", UNPORTABLE)
    assert await soon(layer.receive("plain")) == UNPORTABLE


@pytest.mark.usefixtures("in_production")
async def test_layer_is_strict_while_debug_is_on(settings: Settings) -> None:
    layer = LocalChannelLayer()
    settings.DEBUG = True
    with pytest.raises(UnportableMessage):
        await layer.send("plain", UNPORTABLE)


async def test_strict_layer_lets_an_event_hold_what_its_encoder_takes() -> None:
    layer = LocalChannelLayer(strict=True)
    outbox = connect(layer)
    await layer.group_add("room", CHANNEL)
    await layer.group_send("room", EVENT | {"data": decimal.Decimal("1.5")})
    await layer.send(CHANNEL, EVENT | {"data": uuid.UUID(int=1)})
    assert len(texts(outbox)) == 2


@pytest.mark.parametrize(
    "value",
    [
        bytearray(b"bytes"),
        {1, 2},
        types.SimpleNamespace(parts=[1]),
        decimal.Decimal("1.5"),
        datetime.timedelta(1),
        uuid.UUID(int=1),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_each_member_gets_an_object_of_its_own(value: Any) -> None:
    layer = LocalChannelLayer(strict=False)
    for channel in ("member-1", "member-2"):
        await layer.group_add("group", channel)
    await layer.group_send("group", {"type": "x", "nested": {"value": value}})
    first = await soon(layer.receive("member-1"))
    first["nested"]["value"] = "changed"
    second = await soon(layer.receive("member-2"))
    assert second == {"type": "x", "nested": {"value": value}}
    assert type(second["nested"]["value"]) is type(value)


async def test_change_of_an_object_by_a_receiver_is_not_seen_by_the_sender() -> None:
    layer = LocalChannelLayer(strict=False)
    message: dict[str, Any] = {"type": "x", "object": types.SimpleNamespace(parts=[1])}
    await layer.send("channel", message)
    (await soon(layer.receive("channel")))["object"].parts.append(2)
    assert message["object"].parts == [1]


# Options


@pytest.mark.parametrize("option", ["hosts", "prefix", "symmetric_encryption_keys"])
def test_option_of_channels_redis_is_to_be_dropped(option: str) -> None:
    options: dict[str, Any] = {option: []}
    with pytest.raises(TypeError, match=f"{option} .* drop it"):
        LocalChannelLayer(**options)


def test_strictness_that_cannot_be_used_is_named() -> None:
    with pytest.raises(TypeError, match="strict is True, False or None, not 'yes'"):
        LocalChannelLayer(strict="yes")  # type: ignore[arg-type]  # That is the point.
