"""Which method of a gateway handles which event."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Awaitable, Callable, Collection
from typing import Any, TypeVar

from arcly_channels.identity.claims import Access
from arcly_channels.wire.protocol import RESERVED

Handler = Callable[[Any, Any], Awaitable[Any]]
H = TypeVar("H", bound=Handler)

_MARK = "_arcly_subscription"


@dataclasses.dataclass(frozen=True)
class Subscription:
    """That a method of a gateway handles an event, from clients whose claims allow it."""

    event: str
    access: Access
    method: str = ""
    """The name under which the class has it."""


def subscribe(
    event: str, *, roles: str | Collection[str] = (), perms: str | Collection[str] = ()
) -> Callable[[H], H]:
    """Mark `async def handler(self, data)` of a gateway as the handler of `event`.

    A client whose claims have none of `roles`, if there are any, or not all of `perms`, each of
    the form `resource:action`, gets an `error` event with the code `forbidden` instead.

    Raises `TypeError` at once for anything else, and the class for a second handler of an event.
    """
    if not isinstance(event, str) or not event:
        raise TypeError(f'@subscribe wants the name of an event, as in @subscribe("x"): {event!r}')
    if event.startswith(RESERVED):
        raise TypeError(f"{event!r}: names that begin with {RESERVED} are the protocol's own")
    subscription = Subscription(event, Access.of(roles, perms, where=f"@subscribe({event!r})"))

    def mark(handler: H) -> H:
        is_async = inspect.iscoroutinefunction(handler)  # Not in the `if`: it would narrow `H`.
        if not is_async:
            raise TypeError(f"the handler of {event!r} is an async def, which {handler!r} is not")
        try:
            inspect.signature(handler).bind(None, None)
        except TypeError:
            raise TypeError(f"the handler of {event!r} takes (self, data)") from None
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
    event of the nearest mark, and as guarded as that says.
    """
    by_method: dict[str, Subscription] = {}
    for base in reversed(gateway.__mro__):
        for name, attribute in vars(base).items():
            if mark := mark_of(attribute):
                by_method[name] = dataclasses.replace(mark, method=name)
    by_event: dict[str, Subscription] = {}
    for each in by_method.values():
        other = by_event.setdefault(each.event, each)
        if other is not each:
            raise TypeError(
                f"{gateway.__qualname__} has two handlers of {each.event!r}: "
                f"{other.method} and {each.method}"
            )
    return by_event
