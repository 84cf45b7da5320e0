"""Which gateways an ASGI application leads to: at which addresses, and behind which middleware."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

from django.urls.converters import IntConverter, UUIDConverter
from django.urls.resolvers import RoutePattern
from django.utils.regex_helper import normalize

from arcly_channels.gateway.serving import Serving

WRAPPED = ("inner", "application", "app", "wrapped")
"""The attributes in which middleware keeps what it wraps."""

Schema = dict[str, Any]
"""A JSON schema, of draft 7."""

_KNOWN: dict[type, Schema] = {
    IntConverter: {"type": "integer", "minimum": 0},
    UUIDConverter: {"type": "string", "format": "uuid"},
}
_IN_ROUTE = re.compile(r"<(?:[^>:]+:)?(\w+)>")


@dataclasses.dataclass(frozen=True)
class Routed:
    """A gateway that is served, and how it is reached."""

    gateway: type[Serving]
    address: str | None = None
    """Its path, with the parameters of it in braces; None where no router looks at the path."""
    parameters: dict[str, Schema] = dataclasses.field(default_factory=dict)
    """What may stand for each of those."""
    behind: tuple[object, ...] = ()
    """The middleware and routers around it, the outermost first."""


def routed_gateways(application: object) -> list[Routed]:
    """Return the gateways, and event streams, that a tree of routers and middleware leads to.

    What a wrapper keeps in a closure is not found.
    """
    return list(_walk(application, None, {}, ()))


def _walk(
    node: object, address: str | None, parameters: dict[str, Schema], behind: tuple[object, ...]
) -> Iterator[Routed]:
    if any(each is node for each in behind):
        return
    consumer = getattr(node, "consumer_class", None)  # Of what `as_asgi` returns.
    if isinstance(consumer, type) and issubclass(consumer, Serving):
        yield Routed(consumer, address, parameters, behind)
    behind = (*behind, node)
    routes = getattr(node, "routes", None)
    if isinstance(routes, (list, tuple)):  # A URLRouter, maybe inside another.
        for route in routes:
            inner = getattr(route, "callback", None)
            if inner is not None:
                more, its_own = _of_pattern(route.pattern)
                below = (address or "/") + more.lstrip("/")
                yield from _walk(inner, below, {**parameters, **its_own}, behind)
    for child in _wrapped_by(node):
        yield from _walk(child, address, parameters, behind)


def _wrapped_by(node: object) -> Iterator[object]:
    """Yield what is inside of a router that knows no paths, or of middleware."""
    mapping = getattr(node, "application_mapping", None)
    if isinstance(mapping, dict):  # A ProtocolTypeRouter.
        yield from mapping.values()
    children = [child for name in WRAPPED if callable(child := getattr(node, name, None))]
    yield from {id(child): child for child in children}.values()


def _of_pattern(pattern: Any) -> tuple[str, dict[str, Schema]]:
    """Return the address that a pattern of Django matches, and its parameters."""
    if isinstance(pattern, RoutePattern):
        made = {name: _of_converter(each) for name, each in pattern.converters.items()}
        return _IN_ROUTE.sub(r"{\1}", str(pattern)), made
    regex = str(pattern)
    address, names = normalize(regex)[0]
    parameters = {name: _of_group(regex, name) for name in names}
    return address % {name: f"{{{name}}}" for name in names}, parameters


def _of_converter(converter: Any) -> Schema:
    return _KNOWN.get(type(converter)) or {"type": "string", "pattern": f"^(?:{converter.regex})$"}


def _of_group(regex: str, name: str) -> Schema:
    """Return what a group of a regular expression matches; just text, where it has no name."""
    rest = regex.partition(f"(?P<{name}>")[2]
    depth, is_class = 1, False
    for each in re.finditer(r"\\.|[\[\]()]", rest):
        if each[0] in "[]":
            is_class = each[0] == "["
        elif each[0] in "()" and not is_class:
            depth += 1 if each[0] == "(" else -1
        if not depth:
            return {"type": "string", "pattern": f"^(?:{rest[: each.start()]})$"}
    return {"type": "string"}
