"""The integers of the layers as Prometheus metrics, added up when somebody asks for `/metrics`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import accumulate

from channels.layers import channel_layers
from prometheus_client import REGISTRY
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
    SummaryMetricFamily,
)

from arcly_channels.close_codes import CloseCode
from arcly_channels.fanout.survey import backlogs
from arcly_channels.fanout.tally import BOUNDS, OTHER, Durations, Tally
from arcly_channels.identity.refusal import refusals
from arcly_channels.layers.base import GatewayLayer
from arcly_channels.reasons import DisconnectReason, Limit
from arcly_channels.registry import ConnectionRegistry
from arcly_channels.relay.stats import Stats
from arcly_channels.rooms import is_room
from arcly_channels.wire.protocol import ERRORS

REFUSING = (CloseCode.UNAUTHENTICATED, CloseCode.FORBIDDEN, CloseCode.TOO_MANY_CONNECTIONS)


class LayerCollector:
    """Adds up what the layers of this process count. The first four names are fixed."""

    def collect(self) -> Iterator[Metric]:
        layers = [
            layer
            for layer in tuple(channel_layers.backends.values())
            if isinstance(layer, GatewayLayer)
        ]
        registries = [layer.registry for layer in layers]
        tally = Tally()
        for registry in registries:
            tally.absorb(registry.tally())
        yield from _of_connections(registries, tally)
        yield from _of_layers(layers)
        yield from _now(registries)
        yield from _inbound(tally)
        yield from _of_loops(registries, tally)
        yield from _of_relays([stats for layer in layers if (stats := layer.relay.look())])


def _of_connections(registries: list[ConnectionRegistry], tally: Tally) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "ws_connections",
        "Connections that are registered, event streams among them.",
        value=sum(registry.connection_count() for registry in registries),
    )
    yield CounterMetricFamily(
        "ws_messages_out", "Frames put into the outboxes of connections.", value=tally.frames
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
    yield CounterMetricFamily(
        "arcly_bytes_out", "Bytes of payload in those frames.", value=tally.bytes
    )
    yield CounterMetricFamily(
        "arcly_writes",
        "Writes to servers; what waits for a connection goes in one, where the server allows it.",
        value=tally.writes,
    )


def _of_layers(layers: list[GatewayLayer]) -> Iterator[Metric]:
    dropped = {
        reason: sum(layer.counts[f"dropped_{reason}"] for layer in layers)
        for reason in ("full", "expired", "gone")
    }
    yield _by_label(
        "arcly_messages_dropped", "Channels messages that reached no consumer.", "reason", dropped
    )
    yield CounterMetricFamily(
        "arcly_handler_errors",
        "Events and messages whose handler failed, took too long, or is missing.",
        value=sum(layer.counts["handler_errors"] for layer in layers),
    )
    ended = Counter({reason.value: 0 for reason in DisconnectReason})
    for layer in layers:
        ended.update(layer.disconnects.copy())
    yield _by_label("arcly_disconnects", "Connections that have ended.", "reason", ended)
    closes: Counter[str] = Counter({str(code.value): 0 for code in CloseCode})
    for layer in layers:
        closes.update(layer.closes.copy())
    yield _by_label("arcly_closes", "The same, by close code.", "code", closes)
    refused = {str(code.value): 0 for code in REFUSING} | refusals.numbers.copy()
    yield _by_label("arcly_refusals", "Clients turned away.", "code", refused)
    limits: Counter[str] = Counter({limit.value: 0 for limit in Limit})
    for layer in layers:
        limits.update(layer.limits.copy())
    yield _by_label("arcly_limits", "How often clients went beyond a limit.", "limit", limits)


def _now(registries: list[ConnectionRegistry]) -> Iterator[Metric]:
    """Yield what there is at the moment, which is counted only when somebody asks."""
    sizes = [size for each in registries for group, size in each.sizes() if is_room(group)]
    yield GaugeMetricFamily(
        "arcly_rooms", "Rooms and groups that some client is in.", value=len(sizes)
    )
    yield GaugeMetricFamily(
        "arcly_room_members", "Memberships of clients in rooms, added up.", value=sum(sizes)
    )
    frames = size = most_frames = largest = 0
    for registry in registries:
        for backlog in backlogs(registry):
            frames, size = frames + backlog.frames, size + backlog.size
            most_frames, largest = max(most_frames, backlog.frames), max(largest, backlog.size)
    yield _gauge("arcly_pending_frames", "Frames that wait for clients.", frames)
    yield _gauge(
        "arcly_pending_frames_max", "Frames that wait for one client, at most.", most_frames
    )
    yield _gauge("arcly_pending_bytes", "Bytes of payload that wait for clients.", size)
    yield _gauge("arcly_pending_bytes_max", "Bytes that wait for one client, at most.", largest)


def _inbound(tally: Tally) -> Iterator[Metric]:
    came = {OTHER: 0} | {name: event.came for name, event in sorted(tally.events.items())}
    yield _by_label("arcly_events_in", "Events from clients.", "event", came)
    handled = HistogramMetricFamily(
        "arcly_handler_seconds", "How long the handlers of events took.", labels=["event"]
    )
    for name, event in sorted(tally.events.items()):
        if any(event.numbers):  # What the protocol answers by itself has no handler.
            handled.add_metric([name], _buckets(event), event.seconds)
    yield handled
    errors = dict.fromkeys([*sorted(ERRORS), OTHER], 0) | tally.errors
    yield _by_label("arcly_event_errors", "Frames answered with an error.", "code", errors)


def _of_loops(registries: list[ConnectionRegistry], tally: Tally) -> Iterator[Metric]:
    yield HistogramMetricFamily(
        "arcly_loop_delay_seconds",
        "How late event loops with connections were, looked at once a second.",
        buckets=_buckets(tally.delays),
        sum_value=tally.delays.seconds,
    )
    yield SummaryMetricFamily(
        "arcly_pacing_wait_seconds",
        "How long senders waited for clients that are behind.",
        count_value=sum(registry.pacer.waits for registry in registries),
        sum_value=sum(registry.pacer.waited for registry in registries),
    )


def _of_relays(found: list[Stats]) -> Iterator[Metric]:
    """Yield what the ways to other processes count; all is 0 where there are none."""
    stats = Stats()
    for each in found:
        stats.absorb(each)
    yield _gauge("arcly_relay_links", "Links to the servers of relays that are up.", stats.links)
    yield _gauge("arcly_relay_links_wanted", "Links that there should be.", stats.links_wanted)
    yield _gauge("arcly_relay_subscriptions", "Names that this process hears.", stats.subscriptions)
    parcels = {"in": stats.parcels_in, "out": stats.parcels_out}
    yield _by_label(
        "arcly_relay_parcels", "What went to other processes, and came.", "direction", parcels
    )
    sizes = {"in": stats.bytes_in, "out": stats.bytes_out}
    yield _by_label("arcly_relay_bytes", "The bytes of that.", "direction", sizes)
    yield _by_label(
        "arcly_relay_dropped",
        "What went no further, or could not be read.",
        "reason",
        stats.dropped,
    )
    yield CounterMetricFamily(
        "arcly_relay_unknown_outcomes",
        "What was written, and may have arrived or not.",
        value=stats.unknown,
    )
    yield CounterMetricFamily(
        "arcly_relay_gaps", "How often messages may have been missed.", value=stats.gaps
    )
    yield HistogramMetricFamily(
        "arcly_relay_lag_seconds",
        "How long what has come was under way, by the clocks of both ends.",
        buckets=_buckets(stats.lag),
        sum_value=stats.lag.seconds,
    )


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, value=value)


def _by_label(name: str, meaning: str, label: str, numbers: Mapping[str, int]) -> Metric:
    metric = CounterMetricFamily(name, meaning, labels=[label])
    for value, number in numbers.items():
        metric.add_metric([value], number)
    return metric


def _buckets(durations: Durations) -> list[tuple[str, float]]:
    """Return the classes as Prometheus has them: each with all that are below."""
    bounds: Iterable[str] = (*map(str, BOUNDS), "+Inf")
    return list(zip(bounds, accumulate(durations.numbers), strict=True))


@lru_cache(maxsize=1)
def register() -> None:
    """Add the metrics to the registry that django-prometheus exports. Idempotent."""
    REGISTRY.register(LayerCollector())
