"""The channel layer of several processes, over Redis or Valkey."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any

from asgiref.sync import markcoroutinefunction
from channels.exceptions import ChannelFull

from arcly_channels.close_codes import CloseCode
from arcly_channels.fanout.audience import EVERYONE
from arcly_channels.fork import runs_again_in_children
from arcly_channels.layers.base import GatewayLayer, require_dict
from arcly_channels.layers.message import Copier, Message
from arcly_channels.layers.options import refuses_unknown_options, require_one_of
from arcly_channels.relay.contract import Gap, Kind, Node, Parcel
from arcly_channels.relay.redis import RedisRelay
from arcly_channels.relay.servers import nodes_of, servers_of
from arcly_channels.relay.workers import Workers
from arcly_channels.wire.events import GAP_MESSAGE, frame_of

ON_GAP = ("notify", "close", "ignore")
SELF_DELIVERY = ("relay", "local")

TOLD_AT_ONCE = 64
"""How many gateways are told of a gap in one turn of the loop."""

_OF_NODE = re.compile(r"([0-9a-f]{16})!")
"""What `new_channel` puts before the mark of a channel that is one consumer's."""


class RedisChannelLayer(GatewayLayer):
    """A channel layer whose groups, channels and gateways are those of all processes of a project.

    Over Redis or Valkey; it needs the extra `redis`. In settings:

        CHANNEL_LAYERS = {
            "default": {
                "BACKEND": "arcly_channels.layers.RedisChannelLayer",
                "CONFIG": {"hosts": ["redis://localhost:6379"]},
            }
        }

    `expiry`, `group_expiry`, `capacity`, `channel_capacity`, `overflow` and `shards` mean what they
    do for `LocalChannelLayer`. `CONFIG` takes these as well:

    * `hosts`: A list of servers: URLs (`redis://`, `rediss://`, `unix://`, `valkey://`), pairs of
      host and port, or dicts of options of redis-py, with `sentinels` and `master_name` for
      Sentinel. Several share the groups. None is Redis on this machine.
    * `prefix`: What all names in Redis begin with: the same for the processes of a project, and for
      no other project, whatever its database number.
    * `cluster`: Whether `hosts` are nodes of one Redis Cluster (7.0 or later), of which one is
      enough: messages go by sharded pub/sub, to the node that has them.
    * `symmetric_encryption_keys`: Secrets of which the first encrypts what is sent, and each
      decrypts.
    * `on_gap`: What is done when messages may have been lost: `notify` gateways and clients of
      `arcly.v1`, `close` their sockets with 4010, or `ignore` it.
    * `self_delivery`: How this process' own members get what it sends: by the `relay`, in one order
      for all processes, or by a `local` short cut, before the others.

    Methods that send return when Redis has taken the message, and its local members have it. They
    raise `RelayUnavailable` when it reached nobody, and `RelayOutcomeUnknown`. As long as it is
    known that there is no link, what is sent reaches the members in this process.

    A channel without a `!` in its name is one that workers share, in whatever process: each message
    goes to one of them, at most once. `send` raises `ChannelFull` for those and for channels of
    this process; another process counts what it drops.

    May be used from any thread or event loop. A process has two connections to each server, and one
    more for each channel that a worker in it reads; one that only sends has one.
    """

    @refuses_unknown_options
    @runs_again_in_children
    def __init__(
        self,
        hosts: Sequence[Any] | None = None,
        prefix: str = "arcly",
        expiry: float = 60,
        group_expiry: float = 86400,
        capacity: int = 100,
        channel_capacity: Mapping[Any, int] | None = None,
        symmetric_encryption_keys: Sequence[str | bytes] | None = None,
        *,
        overflow: str = "evict",
        on_gap: str = "notify",
        self_delivery: str = "relay",
        cluster: bool = False,
        shards: int | None = None,
    ) -> None:
        require_one_of("on_gap", on_gap, ON_GAP)
        require_one_of("self_delivery", self_delivery, SELF_DELIVERY)
        if isinstance(symmetric_encryption_keys, (str, bytes)):
            raise ValueError("symmetric_encryption_keys is a list, even of one key")
        if not isinstance(prefix, str) or not re.fullmatch(r"\S+", prefix):
            raise ValueError(f"prefix is a name without spaces, not {prefix!r}")
        if cluster and "{" in prefix:
            raise ValueError("the prefix has no { in a cluster: it would put all on one node")
        self._on_gap = on_gap
        self.relay: RedisRelay = RedisRelay(
            self,
            nodes_of(hosts) if cluster else servers_of(hosts),
            prefix=prefix,
            keys=symmetric_encryption_keys or (),
            delivers_at_once=self_delivery == "local",
            is_cluster=cluster,
        )
        super().__init__(
            self.relay,
            expiry=expiry,
            group_expiry=group_expiry,
            capacity=capacity,
            channel_capacity=channel_capacity,
            overflow=overflow,
            shards=shards,
            pass_on=self._pass_on,
        )
        self._workers = Workers(
            self.relay.home,
            self.relay.post,
            self.relay.names.base,
            expiry=expiry,
            take=self._take_work,
            count=self._channels.count,
        )

    # The Channels specification

    async def new_channel(self, prefix: str = "specific.") -> str:
        """Return a channel name that nobody has or can guess, for a consumer of this process.

        It may be sent to, and put into groups, from any process as soon as this returns.
        """
        await self.relay.follow()
        return self._new_channel(prefix)

    async def send(self, channel: str, message: Message) -> None:
        """Put a message on a channel; see `GatewayLayer.send`.

        `ChannelFull` is raised for a channel of this process, or one that workers share. Another
        process drops what does not fit, and counts it.
        """
        node = self._elsewhere(channel)
        if node is not None:
            await self.relay.carry(_for_one(node, channel, message), None)
        elif not _is_shared(channel):
            await super().send(channel, message)
        elif not await self._workers.push(channel, *self._work(channel, message)):
            raise ChannelFull(channel)

    def send_now(self, channel: str, message: Message) -> None:
        """Do what `send` does; in a running event loop, `ChannelFull` is counted instead."""
        node = self._elsewhere(channel)
        if node is not None:
            self.relay.carry_now(_for_one(node, channel, message), None)
        elif not _is_shared(channel):
            super().send_now(channel, message)
        elif not self._workers.push_now(channel, *self._work(channel, message)):
            raise ChannelFull(channel)

    @markcoroutinefunction
    def receive(self, channel: str) -> Coroutine[Any, Any, Message]:
        """Return, once awaited, the oldest message on a channel; see `GatewayLayer.receive`."""
        return self._receive_work(channel) if _is_shared(channel) else super().receive(channel)

    async def group_add(self, group: str, channel: str) -> None:
        """Add a channel to a group, whatever process it is of.

        One that workers share is in it for as long as one of the processes that have added it runs,
        and `group_expiry` at most. One of a process that is gone is ignored.
        """
        node = self._elsewhere(channel)
        if node is None:
            await super().group_add(group, channel)
        else:
            self.require_valid_group_name(group)
            await self.relay.ask(node, "join", [group, channel])

    async def group_discard(self, group: str, channel: str) -> None:
        """Take a channel out of a group, whatever process it is of."""
        node = self._elsewhere(channel)
        if node is None:
            await super().group_discard(group, channel)
        if node is not None or _is_shared(channel):
            self.require_valid_group_name(group)
            await self.relay.ask(node or EVERYONE, "leave", [group, channel])

    async def flush(self) -> None:
        """Forget every message and every group, in all processes; gateways stay connected."""
        await super().flush()
        await self.relay.ask(EVERYONE, "flush", None)
        await self._workers.clear()

    async def close(self) -> None:
        """End the connections to Redis, when what was sent has arrived. They begin again."""
        await self._workers.stop()
        await super().close()

    # Questions

    async def group_size(self, group: str) -> int:
        """Return how many gateways are in a group, in all processes.

        Raises `RelayUnanswered` when one of them gives no answer within a second.
        """
        others: list[int] = await self.relay.ask(EVERYONE, "size", group)
        return await super().group_size(group) + sum(others)

    async def connection_count(self) -> int:
        """Return how many gateways are connected, in all processes; see `group_size`."""
        others: list[int] = await self.relay.ask(EVERYONE, "connections", None)
        return await super().connection_count() + sum(others)

    # What the relay asks; see `relay.contract.LocalHalf`

    def has_members(self, group: str) -> bool:
        return self.registry.has_group(group) or self._channels.has_group(group)

    def groups_of_members(self) -> list[str]:
        return [*self.registry.groups(), *self._channels.groups()]

    def serves(self) -> bool:
        return len(self.registry) > 0 or self._channels.has_groups()

    async def answer(self, what: str, about: Any) -> Any:
        """Answer a question from another process, in the loop of the relay."""
        if what == "size":
            return await super().group_size(about)
        if what == "connections":
            return await super().connection_count()
        if what == "join":
            await super().group_add(*about)
        elif what == "leave":
            await super().group_discard(*about)
        elif what == "flush":
            await super().flush()
        elif what == "close":
            return super()._close_one(self.node, *about)
        return None

    def tell_gap(self, gap: Gap) -> None:
        """Do about a gap what `on_gap` says. In the loop of the relay."""
        if self._on_gap == "close":
            self.registry.close(EVERYONE, CloseCode.RESYNC)
        elif self._on_gap == "notify":
            self._tell_some(gap, [each.channel for each in self.registry if each.channel])

    # Inside

    def _tell_some(self, gap: Gap, channels: list[str]) -> None:
        """Tell the gateways on `channels` of a gap, some in each turn of the loop."""
        for channel in channels[:TOLD_AT_ONCE]:
            with suppress(ChannelFull):  # It has other things to do, and will be evicted.
                self._channels.send(channel, {"type": GAP_MESSAGE, **gap._asdict()})
        if rest := channels[TOLD_AT_ONCE:]:
            asyncio.get_running_loop().call_soon(self._tell_some, gap, rest)

    def _close_one(self, node: str, number: int, code: int, reason: str) -> bool:
        if node == self.node:
            return super()._close_one(node, number, code, reason)
        return any(self.relay.ask_now(Node(node), "close", [number, code, reason]))

    def _elsewhere(self, channel: str) -> Node | None:
        """Return the node of a channel that is another process' own."""
        self.require_valid_channel_name(channel)
        found = _OF_NODE.search(channel)
        return None if found is None or found[1] == self.node else Node(found[1])

    def _work(self, channel: str, message: Message) -> tuple[bytes, int]:
        """Return what is pushed for a message on a channel that workers share, and its capacity."""
        require_dict(message)
        return self.relay.sealed(message), self.get_capacity(channel)

    def _pass_on(self, channel: str, message: Copier) -> None:
        """Give to the workers what their channel gets as a member of a group."""
        data, capacity = self._work(channel, message())
        parcel = self.relay.under_way.parcel
        mark = "" if parcel is None else "{:x}.{}".format(*parcel)
        self._workers.push_once(channel, data, capacity, mark)

    def _take_work(self, channel: str, data: bytes) -> bool:
        """Give a message to a worker in this process; return whether it was one."""
        message = self.relay.unsealed(data)
        if message is not None:
            self._channels.send(channel, message)
        return message is not None

    async def _receive_work(self, channel: str) -> Message:
        with self._workers.reading(channel):
            return await self._channels.receive(channel)


def _is_shared(channel: object) -> bool:
    """Return whether workers of several processes share a channel."""
    return isinstance(channel, str) and "!" not in channel


def _for_one(node: Node, channel: str, message: Message) -> Parcel:
    """Return what is sent to the process of a channel for a message on it."""
    require_dict(message)
    frame = frame_of(message)
    if frame is None:
        return Parcel(Kind.SEND, node, [channel, message])
    return Parcel(Kind.SEND_EVENT, node, [channel, frame.text])
