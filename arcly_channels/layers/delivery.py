"""The local half of what a layer is asked for: to whoever in this process it is for.

It is run for what this process sends, when its relay says so, and for what other processes send.
"""

from __future__ import annotations

from collections.abc import Iterable

from channels.exceptions import ChannelFull

from arcly_channels.fanout.audience import EVERYONE, Everyone, Group, One
from arcly_channels.fanout.lanes import Lane
from arcly_channels.layers import news
from arcly_channels.layers.channels import Channels
from arcly_channels.layers.closings import Closings
from arcly_channels.layers.message import Message
from arcly_channels.registry import ConnectionRegistry
from arcly_channels.relay.contract import Kind, Parcel
from arcly_channels.wire.envelope import Frame
from arcly_channels.wire.events import frame_of, message_of


class Delivery:
    """Reaches the gateways and the channels of one process. For use in any thread or event loop."""

    def __init__(self, registry: ConnectionRegistry, channels: Channels) -> None:
        self.closings = Closings()
        self._registry = registry
        self._channels = channels

    def take(self, parcel: Parcel) -> None:
        """Do the local half of what another process was asked for. In an event loop."""
        kind, to, body = parcel
        if kind is Kind.FRAME:
            self._registry.deliver(to if isinstance(to, Group) else EVERYONE, body)
        elif isinstance(to, Group) and kind is Kind.EVENT:
            self.event(to.name, body, message_of(body), ())
        elif isinstance(to, Group) and kind is Kind.MESSAGE:
            self.message(to.name, body)
        elif kind is Kind.SEND:
            self._sent(*body)
        elif kind is Kind.SEND_EVENT:
            channel, text = body
            self._sent(channel, message_of(Frame.from_text(text)))
        elif kind is Kind.CLOSE:
            self.close(*body)
        elif kind is Kind.NEWS:
            news.tell(*body)

    def frame(
        self,
        audience: Everyone | Group,
        frame: Frame,
        exclude: int | None,
        places: Iterable[Lane],
    ) -> None:
        """Put a frame into the outboxes of gateways, but for the connection `exclude`."""
        self._registry.deliver(audience, frame, exclude=exclude, places=places)

    def event(self, group: str, frame: Frame, message: Message, places: Iterable[Lane]) -> bool:
        """Put a frame into the outboxes of a group's gateways, and its message on the channels.

        Returns whether some channel is more than half full.
        """
        self._registry.deliver(Group(group), frame, places=places)
        return self._channels.send_to_group(group, (), message)

    def message(self, group: str, message: Message) -> bool:
        """Put a message on every channel of a group; return whether one is more than half full."""
        gateways = [connection.channel for connection in self._registry.members(group)]
        return self._channels.send_to_group(group, filter(None, gateways), message)

    def close(self, group: str, code: int, reason: str) -> int:
        """Close the sockets of a group's gateways; return how many were asked."""
        self.closings.note(group, code, reason)  # First: whoever joins from here on finds it.
        return self._registry.close(Group(group), code, reason)

    def _sent(self, channel: str, message: Message) -> None:
        """Do what `send` does with what another process has sent; one that is full is counted."""
        try:
            connection, frame = self._registry.of_channel(channel), frame_of(message)
            if connection is None or frame is None:
                self._channels.send(channel, message)
            else:
                self._registry.deliver(One(connection.id), frame)
        except ChannelFull:
            self._channels.count("full", 1)
