"""Which method of a gateway handles which event."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, TypeVar

from arcly_channels.identity.claims import Access

Handler = Callable[[Any, Any], Awaitable[None]]
H = TypeVar("H", bound=Handler)

_MARK = "_arcly_event"
_ACCESS = "_arcly_access"


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
    access = Access.of(roles, perms, where=f"@subscribe({event!r})")

    def mark(handler: H) -> H:
        is_async = inspect.iscoroutinefunction(handler)
        if not is_async:
            raise TypeError(f"the handler of {event!r} is an async def, which {handler!r} is not")
        try:
            inspect.signature(handler).bind(None, None)
        except TypeError:
            raise TypeError(f"the handler of {event!r} takes (self, data)") from None
        setattr(handler, _MARK, event)
        setattr(handler, _ACCESS, access)
        return handler

    return mark


def collect(gateway: type) -> dict[str, str]:
    """Return the method names of a gateway class by event; raise `TypeError` for duplicates.

    A method that a subclass overrides stays subscribed, whether it is marked again or not, and to
    the event of the nearest mark.
    """
    events: dict[str, str] = {}
    for name in dict.fromkeys(name for base in reversed(gateway.__mro__) for name in vars(base)):
        event = next(
            (
                getattr(vars(base)[name], _MARK)
                for base in gateway.__mro__
                if hasattr(vars(base).get(name), _MARK)
            ),
            None,
        )
        if event is None:
            continue
        if event in events:
            raise TypeError(
                f"{gateway.__qualname__} has two handlers of {event!r}: {events[event]} and {name}"
            )
        events[event] = name
    return events


def collect_access(gateway: type, methods: Mapping[str, str]) -> dict[str, Access]:
    """Return what each event of a gateway class asks of claims, as its nearest mark says.

    A method that a subclass overrides without a mark of its own stays as guarded as it was.
    """
    marks = {
        event: next(
            getattr(vars(base)[method], _ACCESS)
            for base in gateway.__mro__
            if hasattr(vars(base).get(method), _ACCESS)
        )
        for event, method in methods.items()
    }
    return {event: access for event, access in marks.items() if access}
