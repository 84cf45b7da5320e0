"""What is published, whoever is connected: recorded where it enters a layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any, NoReturn, overload
from unittest import mock

import orjson
from asgiref.sync import iscoroutinefunction

from arcly_channels.layers.configured import gateway_layers
from arcly_channels.rooms import TenantLike, group_name, lobby_name
from arcly_channels.testing.wire import ANYTHING, difference, is_equal, listed, plain
from arcly_channels.wire.envelope import Frame
from arcly_channels.wire.events import frame_of


@dataclasses.dataclass(frozen=True)
class Broadcast:
    """One event that was published: to `group`, to one `channel`, or to everybody."""

    event: str
    data: Any
    """As clients read it."""
    group: str | None = None
    """The Channels group of the room, or of all clients of a tenant."""
    room: str | None = None
    channel: str | None = None
    exclude: int | None = None
    """The id of the connection that is left out, as by `exclude_self`."""

    def __str__(self) -> str:
        to = self.channel or self.group or "everybody"
        where = f"room {self.room!r} ({to})" if self.room not in (None, to) else to
        return f"{self.event} {orjson.dumps(self.data).decode()} to {where}"


class Broadcasts(Sequence[Broadcast]):
    """All that was published, in the order of the calls; what is expected is the next of it."""

    def __init__(self) -> None:
        self._all: list[Broadcast] = []
        self._expected = 0

    def expect(
        self,
        event: str,
        data: Any = ANYTHING,
        *,
        room: str | None = None,
        tenant: TenantLike | None = None,
        namespace: str | None = None,
        all_tenants: bool = False,
        channel: str | None = None,
        exclude: Any = ANYTHING,
    ) -> Broadcast:
        """Take the next broadcast, which must be this one, and return it.

        Whom it is for is looked at where something is said of it: `room`, with its `tenant` and
        `namespace`, as `broadcast_to_room` takes them; `tenant` alone or `all_tenants`, as
        `broadcast` does; or the `channel` of one client.
        """
        __tracebackhide__ = True
        if self._expected == len(self._all):
            self._fail(f"{event} was expected to be published, and nothing more was")
        came = self._all[self._expected]
        wanted: dict[str, Any] = {"event": event}
        if data is not ANYTHING:
            wanted["data"] = plain(data)
        wanted |= _audience(room, tenant, namespace, all_tenants=all_tenants)
        if channel is not None:
            wanted["channel"] = channel
        if exclude is not ANYTHING:
            wanted["exclude"] = exclude
        found = {key: getattr(came, key) for key in wanted}
        if not is_equal(wanted, found):
            marks = "(- expected, + published)"
            self._fail(
                f"{event} was expected to be published next, and this was\n{marks}\n"
                f"{difference(wanted, found)}"
            )
        self._expected += 1
        return came

    def expect_nothing(self) -> None:
        """Fail if anything was published beside what was expected."""
        __tracebackhide__ = True
        if self._expected < len(self._all):
            self._fail(f"nothing was expected, and this was published: {self[self._expected]}")

    def _fail(self, what: str) -> NoReturn:
        __tracebackhide__ = True
        raise AssertionError(what + listed("All that was published:", map(str, self)))

    @overload
    def __getitem__(self, index: int) -> Broadcast: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Broadcast]: ...
    def __getitem__(self, index: int | slice) -> Broadcast | Sequence[Broadcast]:
        return self._all[index]

    def __len__(self) -> int:
        return len(self._all)

    def __repr__(self) -> str:
        return f"Broadcasts({self._all})"

    def add(self, frame: Frame | None, **to: Any) -> None:
        """Record a frame; None is what is no event. For the layers' use, in any thread."""
        if frame is not None:
            envelope = orjson.loads(frame.tagged.payload)
            room = envelope.get("room")
            self._all.append(Broadcast(envelope["event"], envelope["data"], room=room, **to))


def _audience(
    room: str | None, tenant: TenantLike | None, namespace: str | None, *, all_tenants: bool
) -> dict[str, Any]:
    """Return what a broadcast has that is for these; nothing where nothing is said of it."""
    if all_tenants:
        return {"group": None, "channel": None}
    if room is not None:
        return {"group": group_name(room, tenant, namespace=namespace)}
    return {} if tenant is None else {"group": lobby_name(tenant)}


@contextmanager
def capture_broadcasts(*, deliver: bool = True) -> Iterator[Broadcasts]:
    """Record what is published inside the block, from anywhere in this process.

    By the functions of `arcly_channels`, by gateways to rooms and to all, and by `gateway.event`
    messages; in views, signals, threads and tasks. What a gateway emits to its own client is not.
    With `deliver` False it reaches nobody.
    """
    broadcasts = Broadcasts()
    with ExitStack() as stack:
        for layer in gateway_layers():
            for name, record in _recorders(broadcasts).items():
                method = _recorded(getattr(layer, name), record, deliver)
                stack.enter_context(mock.patch.object(layer, name, method))
        yield broadcasts


def _recorders(to: Broadcasts) -> dict[str, Callable[..., None]]:
    """Return what records a call, by the name of the layer's method."""

    def publish(group: str | None, frame: Frame, *, exclude: int | None = None) -> None:
        to.add(frame, group=group, exclude=exclude)

    def group_send(group: str, message: dict[str, Any]) -> None:
        to.add(frame_of(message), group=group)

    def send(channel: str, message: dict[str, Any]) -> None:
        to.add(frame_of(message), channel=channel)

    by_name: dict[str, Callable[..., None]] = {
        "publish": publish,
        "group_send": group_send,
        "send": send,
    }
    return by_name | {f"{name}_now": record for name, record in by_name.items()}


def _recorded(
    method: Callable[..., Any], record: Callable[..., None], deliver: bool
) -> Callable[..., Any]:
    """Return a method of a layer that records its calls first; then it does what it did, or not."""
    if not iscoroutinefunction(method):

        @wraps(method)
        def called(*args: Any, **more: Any) -> Any:
            record(*args, **more)
            return method(*args, **more) if deliver else None

        return called

    @wraps(method)
    async def awaited(*args: Any, **more: Any) -> Any:
        record(*args, **more)
        return await method(*args, **more) if deliver else None

    return awaited
