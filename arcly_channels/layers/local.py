"""The channel layer of one process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arcly_channels.conf.settings import is_under_development
from arcly_channels.fork import runs_again_in_children
from arcly_channels.layers.base import GatewayLayer
from arcly_channels.layers.message import Message
from arcly_channels.layers.options import refuses_unknown_options
from arcly_channels.relay.contract import Relay
from arcly_channels.wire.portable import check_portable

ADVICE = ", or say strict=False in the layer's CONFIG if there will only ever be one process"


class LocalChannelLayer(GatewayLayer):
    """A complete channel layer within one process, with the `groups` and `flush` extensions.

    `expiry`, `group_expiry` (seconds), `capacity` and `channel_capacity` mean what the Channels
    documentation says. `overflow` says what happens when a group message meets a full channel:
    `drop_newest` and `drop_oldest` drop a message and count it. `evict` is about the channel of one
    consumer (with a `!` in its name). It takes a burst of `mailbox.BURST` times its capacity before
    the newest is dropped and counted, and is evicted when its consumer takes nothing for
    `stall.STALL` seconds while it is full: it is out of all groups at once, and `receive` raises
    `SlowConsumer` after the backlog. Elsewhere `evict` means `drop_newest`.
    `shards` is how many locks the registry and the channels are split over (default: four for every
    processor).
    A `strict` layer raises `UnportableMessage`, in the sender and before anybody gets the message,
    for one that a relay between processes would not carry; None is strict while DEBUG is on and in
    tests, as the first message finds it. What a `gateway.event` may hold is its encoder's matter.

    Every method may be called from any thread or event loop, and wakes receivers in theirs.

    Spec deviation: an expired message costs its channel the groups only if the channel is one
    consumer's that has not asked for a message since `expiry` or `mailbox.GONE` seconds, whichever
    is longer; nor does `group_expiry` end the membership of a gateway, which lasts as long as its
    connection.
    """

    @refuses_unknown_options
    @runs_again_in_children
    def __init__(
        self,
        expiry: float = 60,
        group_expiry: float = 86400,
        capacity: int = 100,
        channel_capacity: Mapping[Any, int] | None = None,
        *,
        overflow: str = "evict",
        shards: int | None = None,
        strict: bool | None = None,
    ) -> None:
        if not isinstance(strict, bool | None):
            raise TypeError(f"strict is True, False or None, not {strict!r}")
        self._is_strict = strict
        super().__init__(
            Relay(),
            expiry=expiry,
            group_expiry=group_expiry,
            capacity=capacity,
            channel_capacity=channel_capacity,
            overflow=overflow,
            shards=shards,
        )

    async def new_channel(self, prefix: str = "specific.") -> str:
        """Return a channel name that nobody has or can guess, for a consumer of this process."""
        return self._new_channel(prefix)

    def _check(self, message: Message) -> None:
        if self._is_strict is None:  # Not before: a layer may be made before the tests are set up.
            self._is_strict = is_under_development()
        if self._is_strict:
            check_portable(message, ADVICE)
