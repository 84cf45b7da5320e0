"""The layers' integers as Prometheus metrics, read when somebody asks for `/metrics`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from channels.layers import channel_layers
from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from arcly_channels.layers.base import GatewayLayer
from arcly_channels.reasons import DisconnectReason


class LayerCollector:
    """Adds up what the layers of this process count. The first four names are fixed."""

    def collect(self) -> Iterator[Metric]:
        layers = [
            layer
            for layer in tuple(channel_layers.backends.values())
            if isinstance(layer, GatewayLayer)
        ]
        registries = [layer.registry for layer in layers]
        yield GaugeMetricFamily(
            "ws_connections",
            "WebSocket connections that are registered.",
            value=sum(registry.connection_count() for registry in registries),
        )
        yield CounterMetricFamily(
            "ws_messages_out",
            "Frames put into the outboxes of connections.",
            value=sum(registry.messages_out for registry in registries),
        )
        yield CounterMetricFamily(
            "ws_slow_client_evictions",
            "Connections and channels evicted because they did not keep up.",
            value=sum(registry.evictions for registry in registries),
        )
        yield CounterMetricFamily(
            "ws_idle_reaped",
            "Connections closed because they gave no sign of life.",
            value=sum(registry.idle_reaped for registry in registries),
        )
        dropped = CounterMetricFamily(
            "arcly_messages_dropped",
            "Channels messages that reached no consumer.",
            labels=["reason"],
        )
        for reason in ("full", "expired", "gone"):
            count = sum(layer.counts[f"dropped_{reason}"] for layer in layers)
            dropped.add_metric([reason], count)
        yield dropped
        ended = CounterMetricFamily(
            "arcly_disconnects", "Connections that have ended.", labels=["reason"]
        )
        for reason in DisconnectReason:
            ended.add_metric(
                [reason.value], sum(layer.disconnects[reason.value] for layer in layers)
            )
        yield ended
        yield CounterMetricFamily(
            "arcly_handler_errors",
            "Events whose handler raised an unexpected exception.",
            value=sum(layer.counts["handler_errors"] for layer in layers),
        )


@lru_cache(maxsize=1)
def register() -> None:
    """Add the metrics to the registry that django-prometheus exports. Idempotent."""
    REGISTRY.register(LayerCollector())
