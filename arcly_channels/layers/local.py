"""The channel layer of one process."""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Mapping
from typing import Any

from arcly_channels.layers.base import GatewayLayer, stall_timeout
from arcly_channels.layers.channels import OVERFLOWS, Channels
from arcly_channels.registry import ConnectionRegistry


class LocalChannelLayer(GatewayLayer):
    """A complete channel layer within one process, with the `groups` and `flush` extensions.

    `expiry`, `group_expiry` (seconds), `capacity` and `channel_capacity` mean what the Channels
    documentation says. `overflow` says what happens when a group message meets a full channel of
    one consumer (with a `!` in its name): `evict` takes the channel out of all groups and, after
    its backlog, sends it one `{"type": "gateway.evicted"}`; `drop_newest` and `drop_oldest` drop a
    message and count it. Other channels are never evicted: there `evict` means `drop_newest`.
    `shards` is how many locks the registry and the channels are split over (default: four for every
    processor).

    Every method may be called from any thread or event loop, and wakes receivers in theirs.

    Spec deviation: an expired message is dropped, and does not cost its channel the groups; nor
    does `group_expiry` end the membership of a gateway, which lasts as long as its connection.
    """

    def __init__(
        self,
        expiry: float = 60,
        group_expiry: float = 86400,
        capacity: int = 100,
        channel_capacity: Mapping[Any, int] | None = None,
        *,
        overflow: str = "evict",
        shards: int | None = None,
    ) -> None:
        if overflow not in OVERFLOWS:
            raise ValueError(f"overflow is one of {', '.join(OVERFLOWS)}, not {overflow!r}")
        _require_positive(expiry=expiry, group_expiry=group_expiry, capacity=capacity)
        capacities = {} if channel_capacity is None else channel_capacity
        if not isinstance(capacities, Mapping):
            raise TypeError(f"channel_capacity is a dict, not {capacities!r}")
        _require_positive(**{str(pattern): value for pattern, value in capacities.items()})
        super().__init__(expiry=expiry, capacity=capacity)
        self.channel_capacity = self.compile_capacities(capacities)
        self.group_expiry = group_expiry
        self.registry = ConnectionRegistry(shards=shards, stall_timeout=stall_timeout)
        self._channels = Channels(
            shards=self.registry.shards,
            expiry=expiry,
            group_expiry=group_expiry,
            capacity_of=self._capacity_of,
            overflow=overflow,
            on_evicted=self._on_evicted,
        )
        self._prefix = secrets.token_hex(6)
        self._serial = itertools.count(1)

    async def new_channel(self, prefix: str = "specific.") -> str:
        """Return a channel name that nobody else has, for a consumer of this process."""
        with self._lock:
            return f"{prefix}{self._prefix}!{next(self._serial)}"

    def _capacity_of(self, channel: str) -> int:
        self.require_valid_channel_name(channel)
        capacity: int = self.get_capacity(channel)
        return capacity


def _require_positive(**options: object) -> None:
    for name, value in options.items():
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value <= 0:
            raise ValueError(f"{name} is a number above 0, not {value!r}")
