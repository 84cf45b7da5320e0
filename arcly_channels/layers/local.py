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

    Every method may be called from any thread or event loop, and wakes receivers in theirs. Those
    of the Channels specification are for everybody, the others for gateways. In settings:

        CHANNEL_LAYERS = {"default": {"BACKEND": "arcly_channels.layers.LocalChannelLayer"}}

    These are the keys of its `CONFIG`:

    * `expiry`: How many seconds a message may wait on a channel.
    * `group_expiry`: How many seconds a channel stays in a group. Gateways stay as long as they are
      connected.
    * `capacity`: How many messages may wait on a channel.
    * `channel_capacity`: Other capacities for some channels, a dict of patterns.
    * `overflow`: What a group message does to a consumer whose channel is full: `evict`,
      `drop_newest` or `drop_oldest`.
    * `shards`: How many locks there are, each for a part of the connections; None is four per
      processor.
    * `strict`: Whether messages are refused that would not reach another process; None is while
      `DEBUG` is on, and in tests, as the first message finds it.

    `send` to a full channel raises `ChannelFull`. `group_send` never does, and what it has to drop
    is counted. `drop_newest` and `drop_oldest` drop a message as soon as the capacity is reached.
    `evict` is about the channel of one consumer (with a `!` in its name). It takes a burst of ten
    times its capacity before the newest is dropped, and is evicted when its consumer takes nothing
    for 10 seconds while it is full and its event loop runs: it is out of all groups at once, and
    `receive` raises `SlowConsumer` after the backlog, which ends the consumer and closes its
    socket; a gateway is closed with 4008. Elsewhere `evict` means `drop_newest`.

    A `strict` layer raises `UnportableMessage`, a `TypeError`, in the sender and before anybody
    gets the message, for one that a relay between processes would not carry.

    Spec deviation: an expired message costs its channel the groups only if the channel is one
    consumer's that has not asked for a message since `expiry` or 60 seconds, whichever is longer;
    nor does `group_expiry` end the membership of a gateway, which lasts as long as its connection.
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
