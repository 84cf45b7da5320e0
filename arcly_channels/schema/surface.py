"""What the routed gateways take and send, with the schemas of it: what documents are made of."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from channels.routing import get_default_application
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from arcly_channels.gateway.consumer import GatewayConsumer
from arcly_channels.gateway.declaration import Declaration
from arcly_channels.gateway.hints import returns_nothing
from arcly_channels.gateway.routed import Routed, Schema, routed_gateways
from arcly_channels.gateway.serving import Serving
from arcly_channels.gateway.subscriptions import Subscription
from arcly_channels.schema.draft7 import accepts_null, as_draft7
from arcly_channels.wire.protocol import REFRESH

REF = "#/components/schemas/"
ANYTHING: Schema = {}

Uses = tuple[str, str, str]
"""Where a payload is used: the name of a gateway, how, and the event."""


@dataclasses.dataclass(frozen=True)
class Call:
    """An event that a client may send, and what it is answered with."""

    subscription: Subscription
    text: str
    """What its handler says of itself."""
    data: Schema
    is_optional: bool
    """Whether the data may be left out."""
    reply: Schema
    replies_nothing: bool

    @property
    def event(self) -> str:
        return self.subscription.event


@dataclasses.dataclass(frozen=True)
class Surface:
    """What one class of gateways takes and sends."""

    name: str
    """No other class has it."""
    text: str
    gateway: type[Serving]
    declaration: Declaration
    calls: tuple[Call, ...]
    sends: dict[str, Schema]
    """By event; where there is none, it may send anything."""
    joining: str | None
    """What is said of how clients join rooms; None where they may not by themselves."""


@dataclasses.dataclass(frozen=True)
class Entrance:
    """A place where clients come in, under a name that no other has."""

    name: str
    routed: Routed
    surface: Surface


@dataclasses.dataclass(frozen=True)
class Api:
    """All that there is to say, in an order that follows from names alone."""

    entrances: tuple[Entrance, ...]
    surfaces: tuple[Surface, ...]
    definitions: dict[str, Schema]
    """The schemas that are referred to, by their names behind `REF`."""


class NoGateways(ImproperlyConfigured):
    """There is nothing to describe; the message says what to do."""


@lru_cache(maxsize=1)
def project_api() -> Api:
    """Return what the project's own application serves; raise `NoGateways` where that is nothing.

    It is kept, as routes do not change while a process runs.
    """
    try:
        application = get_default_application()
    except ImproperlyConfigured as error:
        cause = f" ({error.__context__})" if error.__context__ else ""
        advice = 'say where it is: ASGI_APPLICATION = "mysite.asgi.application" in the settings'
        raise NoGateways(f"{error}{cause}: {advice}") from error
    api = api_of(routed_gateways(application))
    if not api.entrances:
        raise NoGateways(
            "the application of ASGI_APPLICATION leads to no gateway: route one as in "
            'URLRouter([path("ws/chat/", Chat.as_asgi())]), and have middleware keep what it wraps '
            "as `inner` or `app`"
        )
    return api


def api_of(routed: Iterable[Routed]) -> Api:
    """Return what gateways take and send that are routed."""
    found = [each for each in routed if issubclass(each.gateway, GatewayConsumer)]
    classes = sorted({each.gateway for each in found}, key=lambda each: _path(each))
    names = {gateway: name for name, gateway in _named(classes)}
    schemas, definitions = _schemas(names)
    surfaces = {
        gateway: _surface(gateway, name, schemas, definitions) for gateway, name in names.items()
    }
    ordered = sorted(found, key=lambda each: (each.address or "", names[each.gateway]))
    taken: set[str] = set()
    entrances = tuple(
        Entrance(key_of(each.address or "anywhere", taken), each, surfaces[each.gateway])
        for each in ordered
    )
    return Api(entrances, tuple(surfaces.values()), definitions)


def key_of(text: str, taken: set[str]) -> str:
    """Return a text as a key that AsyncAPI allows, and that is not taken; take it."""
    key = re.sub(r"[^A-Za-z0-9_-]+", ".", text).strip(".") or "root"
    number = 1
    while (found := key if number == 1 else f"{key}-{number}") in taken:
        number += 1
    taken.add(found)
    return found


def summary_of(text: str) -> str:
    """Return the first sentence of a docstring, or what comes before its first empty line."""
    paragraph = " ".join(text.split("\n\n")[0].split())
    return re.split(r"(?<=[.!?])\s", paragraph, maxsplit=1)[0]


def _path(gateway: type) -> str:
    return f"{gateway.__module__}.{gateway.__qualname__}"


def _named(classes: list[type[Serving]]) -> Iterator[tuple[str, type[Serving]]]:
    """Yield a name for each class: its own, or its path where another has that, too."""
    own = [each.__name__ for each in classes]
    for gateway in classes:
        is_unique = own.count(gateway.__name__) == 1
        yield gateway.__name__ if is_unique else _path(gateway).replace(".<locals>", ""), gateway


def _schemas(
    names: dict[type[Serving], str],
) -> tuple[dict[Uses, Schema], dict[str, Schema]]:
    """Return the schemas of all that has a type, and the definitions in them."""
    payloads: list[Any] = []
    for gateway, name in names.items():
        declaration = gateway._gateway_declaration
        for event, each in declaration.subscriptions.items():
            payloads.append(((name, "data", event), "validation", each.payload))
            payloads.append(((name, "reply", event), "serialization", each.reply))
        for event, payload in declaration.sends.items():
            payloads.append(((name, "sends", event), "serialization", payload))
    payloads = [each for each in payloads if each[2] is not None]
    if not payloads:
        return {}, {}
    from arcly_channels.gateway.payloads import json_schemas  # Which is there, as payloads are.

    found, definitions = json_schemas(payloads, REF + "{model}")
    schemas = {key: as_draft7(schema) for (key, _), schema in found.items()}
    return schemas, {name: as_draft7(definitions[name]) for name in sorted(definitions)}


def _surface(
    gateway: type[Serving],
    name: str,
    schemas: dict[Uses, Schema],
    definitions: dict[str, Schema],
) -> Surface:
    declaration = gateway._gateway_declaration

    def call(subscription: Subscription) -> Call:
        event, method = subscription.event, subscription.method
        data = schemas.get((name, "data", event), ANYTHING)
        return Call(
            subscription,
            inspect.getdoc(getattr(gateway, method)) or "",
            data,
            accepts_null(data, definitions),
            schemas.get((name, "reply", event), ANYTHING),
            returns_nothing(gateway, method),
        )

    events = sorted(declaration.subscriptions) if declaration.takes_events else []
    lets_join = declaration.takes_events and gateway.may_join is not GatewayConsumer.may_join
    return Surface(
        name,
        _own_text(gateway),
        gateway,
        declaration,
        tuple(call(declaration.subscriptions[each]) for each in events if each != REFRESH),
        {event: schemas[name, "sends", event] for event in sorted(declaration.sends)},
        inspect.cleandoc(gateway.may_join.__doc__ or "") if lets_join else None,
    )


def _own_text(gateway: type) -> str:
    """Return the docstring of a class, or of the nearest base that is the project's, too."""
    for each in gateway.__mro__:
        if each.__module__.startswith(("arcly_channels.", "channels.")):
            break
        if each.__doc__:
            return inspect.cleandoc(each.__doc__)
    return ""


def _forget(*, setting: str, **_: object) -> None:
    if setting in ("ASGI_APPLICATION", "ARCLY_CHANNELS"):
        project_api.cache_clear()


setting_changed.connect(_forget, dispatch_uid="arcly_channels.schema")
