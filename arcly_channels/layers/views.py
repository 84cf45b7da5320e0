"""What is in a layer, as live mappings that Channels' idioms work on. For tests and debugging."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import TypeVar

from arcly_channels.layers.channels import Channels
from arcly_channels.layers.message import Message
from arcly_channels.registry import ConnectionRegistry

V = TypeVar("V")
D = TypeVar("D")


class LiveView(Mapping[str, V]):
    """A mapping that is looked up anew at every look, one key by one look-up.

    What an iteration has named and is gone before its value is asked for is read as it was found
    then, once, so that `dict(view)` works while others change what it shows.
    """

    def __init__(self) -> None:
        self._named: dict[str, V] = {}

    def _find(self, key: str) -> V | None:
        """Return what a key stands for, if it is there."""
        raise NotImplementedError

    def _names(self) -> list[str]:
        """Return the keys."""
        raise NotImplementedError

    def _delete(self, key: str) -> None:
        """Remove a key."""
        raise NotImplementedError

    def __getitem__(self, key: str) -> V:
        value = self._find(key)
        if value is not None:
            self._named.pop(key, None)
            return value
        return self._named.pop(key)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._find(key) is not None

    def __iter__(self) -> Iterator[str]:
        found = ((name, self._find(name)) for name in self._names())
        self._named = {name: value for name, value in found if value is not None}
        return iter(tuple(self._named))

    def __len__(self) -> int:
        return len(self._names())

    def __delitem__(self, key: str) -> None:
        if key not in self:
            raise KeyError(key)
        self._delete(key)

    def pop(self, key: str, *default: D) -> V | D:
        """Remove a key and return its value, or `default` if one is given and it is not there."""
        value = self._find(key)
        if value is not None:
            self._delete(key)
            return value
        if default:
            return default[0]
        raise KeyError(key)

    def clear(self) -> None:
        """Remove everything."""
        for key in self._names():
            self._delete(key)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self)!r})"


class Joined(dict[str, float]):
    """The channels in a group, with the time at which each joined, and 0 for a gateway.

    A copy, which equals the set of its channels, too.
    """

    def __eq__(self, other: object) -> bool:
        return self.keys() == other if isinstance(other, Set) else super().__eq__(other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = None


class Waiting(tuple[Message, ...]):
    """The messages that wait on a channel: copies, which can be counted as those of a queue."""

    __slots__ = ()

    def qsize(self) -> int:
        """Return how many there are."""
        return len(self)

    def empty(self) -> bool:
        """Return whether there are none."""
        return not self


class ChannelsView(LiveView[Waiting]):
    """The channels of a layer, with what waits on each."""

    def __init__(self, channels: Channels) -> None:
        super().__init__()
        self._channels = channels

    def _find(self, key: str) -> Waiting | None:
        messages = self._channels.waiting_on(key)
        return None if messages is None else Waiting(messages)

    def _names(self) -> list[str]:
        return self._channels.names()

    def _delete(self, key: str) -> None:
        self._channels.forget(key)


class GroupsView(LiveView[Joined]):
    """The groups of a layer, with the plain channels and the gateways in each."""

    def __init__(self, channels: Channels, registry: ConnectionRegistry) -> None:
        super().__init__()
        self._channels = channels
        self._registry = registry

    def _find(self, key: str) -> Joined | None:
        gateways = (connection.channel for connection in self._registry.members(key))
        joined = dict.fromkeys(filter(None, gateways), 0.0)
        return Joined({**joined, **self._channels.members(key)}) or None

    def _names(self) -> list[str]:
        return list(dict.fromkeys([*self._channels.groups(), *self._registry.groups()]))

    def _delete(self, key: str) -> None:
        for channel in self._channels.members(key):
            self._channels.leave(key, channel)
        for connection in self._registry.members(key):
            self._registry.leave(connection.id, key)
