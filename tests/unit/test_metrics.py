"""The metrics: the layers' integers under the seed's names."""

from __future__ import annotations

from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer, channel_layers
from django.test import RequestFactory
from django_prometheus.exports import ExportToDjangoView
from prometheus_client import REGISTRY

from arcly_channels import CloseCode, EventRefused, GatewayConsumer, Refused, metrics, subscribe
from arcly_channels.fanout.outbox import Outbox
from arcly_channels.layers import LocalChannelLayer
from arcly_channels.reasons import Limit
from arcly_channels.wire import protocol
from arcly_channels.wire.envelope import Frame
from tests.gateways import Socket, connected


class Chat(GatewayConsumer):
    """A gateway with a handler that answers and one that does not."""

    @subscribe("echo")
    async def echo(self, data: Any) -> None:
        await self.emit("echo", data)

    @subscribe("refuse")
    async def refuse(self, data: Any) -> None:
        raise EventRefused("of_the_project", "no")

    @subscribe("join")
    async def join(self, data: Any) -> None:
        await self.join_room(data)
        await self.emit("joined")


class Members(GatewayConsumer):
    require_claims = True


class Closed(GatewayConsumer):
    async def authorize(self) -> None:
        raise Refused(4777, "a code of the project")


def value(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, labels)


def test_connections_are_a_gauge(layer: LocalChannelLayer) -> None:
    first = layer.registry.register(Outbox())
    layer.registry.register(Outbox())
    assert value("ws_connections") == 2
    layer.registry.unregister(first)
    assert value("ws_connections") == 1


def test_gauge_moves_only_when_the_connection_was_there(layer: LocalChannelLayer) -> None:
    id = layer.registry.register(Outbox())
    layer.registry.unregister(id)
    layer.registry.unregister(id)
    assert value("ws_connections") == 0


def test_messages_are_counted_per_outbox(layer: LocalChannelLayer) -> None:
    for _ in range(3):
        layer.registry.register(Outbox())
    layer.registry.broadcast_text("hello")
    assert value("ws_messages_out_total") == 3


def test_evictions_are_counted(layer: LocalChannelLayer) -> None:
    layer.registry.register(Outbox(max_frames=1))
    layer.registry.broadcast_text("one")
    layer.registry.broadcast_text("two")
    assert value("ws_slow_client_evictions_total") == 1


def test_reaped_connections_are_counted(layer: LocalChannelLayer) -> None:
    layer.registry.register(Outbox())
    layer.registry.sweep_idle(-1)
    assert value("ws_idle_reaped_total") == 1


@pytest.mark.parametrize("reason", ["full", "expired"])
def test_dropped_messages_are_counted_by_reason(layer: LocalChannelLayer, reason: str) -> None:
    assert value("arcly_messages_dropped_total", reason=reason) == 0


def test_failed_handlers_are_counted(layer: LocalChannelLayer) -> None:
    layer.count_handler_error()
    assert value("arcly_handler_errors_total") == 1


def test_what_went_beyond_a_limit_is_counted_by_it(layer: LocalChannelLayer) -> None:
    layer.count_limit(Limit.ROOMS)
    assert value("arcly_limits_total", limit="rooms") == 1
    assert value("arcly_limits_total", limit="rate") == 0


def test_layers_are_added_up(layer: LocalChannelLayer) -> None:
    channel_layers.set("other", other := LocalChannelLayer())
    layer.registry.register(Outbox())
    other.registry.register(Outbox())
    found = value("ws_connections")
    del channel_layers.backends["other"]
    assert found == 2


def test_layers_that_are_not_ours_are_left_out(layer: LocalChannelLayer) -> None:
    channel_layers.set("other", InMemoryChannelLayer())
    found = value("ws_connections")
    del channel_layers.backends["other"]
    assert found == 0


async def chat_of(layer: LocalChannelLayer) -> None:
    """Have a client say what is understood, what is not, and leave in its own way."""
    async with connected(Chat.as_asgi()) as socket:
        for event in ("echo", "refuse", "made up 1", "made up 2", "gateway:join"):
            await socket.emit(event)
            await socket.receive_json_from()
        await socket.send_to("no envelope")
        await socket.receive_json_from()
        await socket.close(4999)
    await Socket(Closed.as_asgi()).expect_refusal(4777)


async def test_labels_come_from_closed_sets(layer: LocalChannelLayer) -> None:
    await chat_of(layer)
    labels: dict[str, set[str]] = {}
    for metric in metrics.LayerCollector().collect():
        for sample in metric.samples:
            for label, found in sample.labels.items():
                labels.setdefault(label, set()).add(found)
    codes = {str(each.value) for each in CloseCode} | set(protocol.ERRORS) | {"other"}
    assert labels["code"] == codes
    assert labels["event"] == {"echo", "refuse", "other"}
    assert labels["limit"] == {each.value for each in Limit}
    assert labels.keys() == {"reason", "code", "event", "limit", "direction", "le"}


async def test_events_are_counted_by_the_names_that_were_subscribed_to(
    layer: LocalChannelLayer,
) -> None:
    await chat_of(layer)
    counts = [value("arcly_events_in_total", event=each) for each in ("echo", "refuse", "other")]
    assert counts == [1, 1, 3]


async def test_events_of_the_protocol_have_names_where_it_is_spoken(
    layer: LocalChannelLayer,
) -> None:
    async with connected(Chat.as_asgi(), subprotocols=["arcly.v1"]) as socket:
        await socket.request("gateway:ping")
    assert value("arcly_events_in_total", event="gateway:ping") == 1


async def test_handlers_are_timed_by_event(layer: LocalChannelLayer) -> None:
    await chat_of(layer)
    for event in ("echo", "refuse"):
        assert value("arcly_handler_seconds_count", event=event) == 1
        assert value("arcly_handler_seconds_bucket", event=event, le="+Inf") == 1
        assert (value("arcly_handler_seconds_sum", event=event) or 0) > 0


async def test_errors_are_counted_by_the_codes_of_the_protocol(layer: LocalChannelLayer) -> None:
    await chat_of(layer)
    codes = ("malformed", "unknown_event", "internal", "other")
    assert [value("arcly_event_errors_total", code=code) for code in codes] == [1, 3, 0, 1]


async def test_ends_are_counted_by_code(layer: LocalChannelLayer) -> None:
    for code in (1001, 4008, 4999):
        async with connected(Chat.as_asgi()) as socket:
            await socket.close(code)
    assert [value("arcly_closes_total", code=code) for code in ("1001", "4008", "other")] == [1] * 3


async def test_refusals_are_counted_by_code(layer: LocalChannelLayer) -> None:
    before = [value("arcly_refusals_total", code=code) or 0 for code in ("4401", "other")]
    await Socket(Members.as_asgi()).expect_refusal(4401)
    await Socket(Closed.as_asgi()).expect_refusal(4777)
    after = [value("arcly_refusals_total", code=code) or 0 for code in ("4401", "other")]
    assert after == [each + 1 for each in before]


async def test_rooms_and_members_are_those_that_clients_joined(layer: LocalChannelLayer) -> None:
    assert (value("arcly_rooms"), value("arcly_room_members")) == (0, 0)
    async with connected(Chat.as_asgi()) as ada, connected(Chat.as_asgi()) as bob:
        for socket, room in ((ada, "tea"), (bob, "tea"), (bob, "garden")):
            await socket.emit("join", room)
            await socket.receive_json_from()
        assert (value("arcly_rooms"), value("arcly_room_members")) == (2, 3)
    assert (value("arcly_rooms"), value("arcly_room_members")) == (0, 0)


def test_what_waits_is_added_up_and_the_most_is_found(layer: LocalChannelLayer) -> None:
    slow = layer.registry.register(Outbox())
    layer.registry.register(Outbox())
    layer.registry.broadcast_text("12345")
    layer.registry.send_text(slow, "12345")
    assert [value(f"arcly_pending_{name}") for name in ("frames", "bytes")] == [3, 15]
    assert [value(f"arcly_pending_{name}_max") for name in ("frames", "bytes")] == [2, 10]


def test_bytes_are_counted_per_outbox(layer: LocalChannelLayer) -> None:
    for _ in range(3):
        layer.registry.register(Outbox())
    layer.registry.broadcast_text("12345")
    assert value("arcly_bytes_out_total") == 15


async def test_writes_are_counted(layer: LocalChannelLayer) -> None:
    async with connected(Chat.as_asgi()) as socket:
        for _ in range(2):
            await socket.emit("echo")
            await socket.receive_json_from()
    assert value("arcly_writes_total") == 2


async def test_counts_outlive_the_last_connection_of_a_loop(layer: LocalChannelLayer) -> None:
    await chat_of(layer)
    before = value("arcly_events_in_total", event="echo")
    await chat_of(layer)
    assert (before, value("arcly_events_in_total", event="echo")) == (1, 2)


async def test_waits_of_senders_are_counted_and_added_up(
    layer: LocalChannelLayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = Outbox(layer.pump(), max_frames=4)
    layer.registry.register(slow)
    for _ in range(4):
        await layer.publish(None, Frame.from_text("x"))
    assert value("arcly_pacing_wait_seconds_count") == 1
    assert (value("arcly_pacing_wait_seconds_sum") or 0) > 0


def test_registering_again_is_nothing() -> None:
    metrics.register()


def test_metrics_are_exported_by_django_prometheus(layer: LocalChannelLayer) -> None:
    exported = ExportToDjangoView(RequestFactory().get("/metrics")).content.decode()
    names = (
        "ws_connections 0.0",
        "ws_messages_out_total 0.0",
        "ws_slow_client_evictions_total 0.0",
        "ws_idle_reaped_total 0.0",
    )
    assert all(f"\n{name}\n" in exported for name in names)
