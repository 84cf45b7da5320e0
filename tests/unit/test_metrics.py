"""The metrics: the layers' integers under the seed's names."""

from __future__ import annotations

import pytest
from channels.layers import InMemoryChannelLayer, channel_layers
from django.test import RequestFactory
from django_prometheus.exports import ExportToDjangoView
from prometheus_client import REGISTRY

from arcly_channels import metrics
from arcly_channels.fanout.outbox import Outbox
from arcly_channels.layers import LocalChannelLayer


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


def test_no_label_can_grow_without_bound(layer: LocalChannelLayer) -> None:
    labels = {
        label: value
        for metric in metrics.LayerCollector().collect()
        for sample in metric.samples
        for label, value in sample.labels.items()
    }
    assert labels.keys() == {"reason"}


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
