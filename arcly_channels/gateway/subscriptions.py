"""Which method of a gateway handles which event."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Collection
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, TypeVar

from asgiref.sync import iscoroutinefunction

from arcly_channels.gateway.handling import Terms
from arcly_channels.gateway.hints import data_hint, payload_of, place_of, reply_hint
from arcly_channels.identity.claims import Access
from arcly_channels.wire.envelope import Event
from arcly_channels.wire.protocol import RESERVED

if TYPE_CHECKING:
    from arcly_channels.gateway.payloads import Payload

Handler = Callable[[Any, Any], Any]
H = TypeVar("H", bound=Handler)

_MARK = "_arcly_subscription"


@dataclasses.dataclass(frozen=True)
class Subscription:
    """That a method of a gateway handles an event, from clients whose claims allow it."""

    event: str
    access: Access
    terms: Terms
    method: str = ""
    """The name under which the class has it."""
    is_plain: bool = False
    """Whether it simply runs in turn, without any limits."""
    payload: Payload | None = None
    """What reads the data for it; None where that is the JSON that was parsed."""
    reply: Payload | None = None
    """What writes what it returns; None where that is written as events are."""

    def data_of(self, event: Event) -> Any:
        """Return an event's data as the handler takes it; raise `InvalidPayload` if it is not."""
        return event.data if self.payload is None else self.payload.read(event)


def subscribe(
    event: str,
    *,
    roles: str | Collection[str] = (),
    perms: str | Collection[str] = (),
    timeout: float | None = None,
    rate: str | None = None,
    burst: int | None = None,
    concurrency: int = 1,
) -> Callable[[H], H]:
    """Mark `handler(self, data)` of a gateway, an `async def` or a `def`, as that of `event`:

        @subscribe("search", roles="member", timeout=5, rate="20/s", concurrency=3)
        async def search(self, words):
            await self.emit("found", await look_for(words))

    It says no by raising `EventRefused`. What it returns is the reply, to a client of `arcly.v1`
    that wants one.

    A client whose claims have none of `roles`, if there are any, or not all of `perms`, each of
    the form `resource:action`, gets an `error` event with the code `forbidden` instead.

    What follows counts for each connection by itself. A handler that takes longer than `timeout`
    seconds is cancelled, and answered with `timeout`. Of a `rate` such as `"20/s"`, `"5/m"` or
    `"100/h"`, up to `burst` may come at once, by default that number; who sends more gets
    `rate_limited`. With a `concurrency` above 1, that many handlers of the event may run at once,
    and beside those of other events, so answers may overtake one another; else events are handled
    one at a time, in order.

    The annotations count. Data is read into the type that `data` is annotated with, and where it
    cannot be, the client gets the `error` event `invalid_payload`; annotated as `Any`, or not at
    all, it is the JSON that was parsed. What is returned is written as its type says. This needs
    the extra `typed`; see `docs/how-to/typed-events.md`.

    A `def` runs in the thread that `sync_to_async` shares, where the ORM works. A thread cannot be
    stopped: one that takes longer than `timeout` goes on, and its result is dropped.

    Raises `TypeError` at once for anything else, and the class for a second handler of an event. A
    handler that a subclass overrides stays subscribed, and as guarded and limited as it was, unless
    it is marked again.
    """
    if not isinstance(event, str) or not event:
        raise TypeError(f'@subscribe wants the name of an event, as in @subscribe("x"): {event!r}')
    if event.startswith(RESERVED):
        raise TypeError(f"{event!r}: names that begin with {RESERVED} are the protocol's own")
    where = f"@subscribe({event!r})"
    subscription = Subscription(
        event,
        Access.of(roles, perms, where=where),
        Terms.of(timeout, rate, burst, concurrency, where=where),
    )

    def mark(handler: H) -> H:
        _check(handler, event)
        setattr(handler, _MARK, subscription)
        return handler

    return mark


def mark_of(attribute: object) -> Subscription | None:
    """Return what `subscribe` said of an attribute of a class, if it did."""
    subscription = getattr(attribute, _MARK, None)
    return subscription if isinstance(subscription, Subscription) else None


def collect(gateway: type) -> dict[str, Subscription]:
    """Return the subscriptions of a gateway class by event; raise `TypeError` for duplicates.

    A method that a subclass overrides stays subscribed, whether it is marked again or not: to the
    event of the nearest mark, and as guarded and limited as that says.
    """
    by_method: dict[str, Subscription] = {}
    for base in reversed(gateway.__mro__):
        for name, attribute in vars(base).items():
            if mark := mark_of(attribute):
                by_method[name] = mark
    by_event: dict[str, Subscription] = {}
    for name, mark in by_method.items():
        each = _as_found(mark, gateway, name)
        other = by_event.setdefault(each.event, each)
        if other is not each:
            places = (place_of(gateway, found.method) for found in (other, each))
            raise TypeError(
                f"{gateway.__qualname__} has two handlers of {each.event!r}: {' and '.join(places)}"
            )
    return by_event


def _as_found(mark: Subscription, gateway: type, name: str) -> Subscription:
    """Return a subscription with how the method that the class has in the end is run."""
    handler = inspect.getattr_static(gateway, name)
    _check(handler, mark.event)
    terms = dataclasses.replace(mark.terms, in_thread=not _is_async(handler))
    data, reply = data_hint(gateway, name), None
    if find_spec("pydantic"):  # Else what it returns is written as it is.
        reply = reply_hint(gateway, name)
    payload = None if data is None else payload_of(data)
    if payload is not None:
        payload.check_readable()
    return dataclasses.replace(
        mark,
        method=name,
        terms=terms,
        is_plain=terms == Terms(),
        payload=payload,
        reply=None if reply is None else payload_of(reply),
    )


def _check(handler: Any, event: str) -> None:
    """Raise `TypeError` for what cannot be the handler of an event."""
    function = inspect.unwrap(handler)
    is_generator = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
    is_method = inspect.isfunction(function) and not isinstance(
        handler, (staticmethod, classmethod)
    )
    if is_generator or not is_method:
        raise TypeError(
            f"the handler of {event!r} must be an async def or a def of the class, without "
            f"`yield`, not {handler!r}"
        )
    try:
        inspect.signature(handler).bind(None, None)
    except TypeError:
        raise TypeError(
            f"the handler of {event!r} must take (self, data); where no data is sent, it is None"
        ) from None


def _is_async(handler: Any) -> bool:
    """Return whether a handler is async, or what a decorator has wrapped is."""
    return iscoroutinefunction(handler) or iscoroutinefunction(inspect.unwrap(handler))
