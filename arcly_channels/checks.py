"""System checks: what is configured wrongly is found by `manage.py`, not by the first client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from channels.routing import get_default_application
from channels.security.websocket import OriginValidator
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from arcly_channels.conf import settings as conf
from arcly_channels.conf.identity import read_jwt
from arcly_channels.gateway.consumer import GatewayConsumer
from arcly_channels.identity.verifier import load_verifier
from arcly_channels.layers.base import GatewayLayer

REFERENCES = ("CLAIMS_FROM_USER", "TENANTS", "TENANT_STRATEGY")

_WRAPPED = ("inner", "application", "app", "wrapped")
"""The attributes in which middleware keeps what it wraps."""


@register("arcly_channels")
def check_settings(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """E001: a key or a value of ARCLY_CHANNELS cannot be used."""
    return [
        Error(problem.message, hint=problem.hint, id="arcly_channels.E001")
        for problem in conf.problems(getattr(settings, conf.NAME, {}))
    ]


@register("arcly_channels")
def check_layers(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """E002: the CONFIG of one of our layers in CHANNEL_LAYERS cannot be used."""
    found: list[CheckMessage] = []
    for alias, layer in getattr(settings, "CHANNEL_LAYERS", {}).items():
        try:
            backend = import_string(layer["BACKEND"])
        except (ImportError, KeyError, TypeError):
            continue  # Channels has words of its own for these.
        if not (isinstance(backend, type) and issubclass(backend, GatewayLayer)):
            continue
        try:
            backend(**layer.get("CONFIG", {}))
        except (TypeError, ValueError) as error:
            hint = f"Options and what they mean: {backend.__module__}.{backend.__qualname__}."
            message = f'the CONFIG of CHANNEL_LAYERS["{alias}"] cannot be used: {error}'
            found.append(Error(message, hint=hint, id="arcly_channels.E002"))
    return found


@register("arcly_channels")
def check_identity(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """E003: a key or a dotted path about identity in ARCLY_CHANNELS cannot be loaded."""
    given = getattr(settings, conf.NAME, {})
    if conf.problems(given):
        return []  # Said by E001.
    found: list[CheckMessage] = []
    try:
        load_verifier(read_jwt(given.get("JWT")))
    except ImproperlyConfigured as error:
        hint = "A PEM of the public key is needed, or a secret and its ALGORITHM."
        found.append(Error(str(error), hint=hint, id="arcly_channels.E003"))
    for key in REFERENCES:
        if isinstance(given.get(key), str) and not callable(_imported(given[key])):
            message = f'{conf.NAME}["{key}"] leads to no callable'
            hint = "Write the dotted path of a function, as in project.module.function."
            found.append(Error(message, hint=hint, id="arcly_channels.E003"))
    return found


@register("arcly_channels", "security")
def check_origins(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """W001: a page of any site can open a gateway's WebSocket with its visitor's cookies."""
    try:
        application = get_default_application()
    except ImproperlyConfigured:
        return []  # There is none, or Django and the server have words of their own.
    return [
        checks.Warning(
            f"{gateway.__module__}.{gateway.__qualname__} is routed without an origin validator",
            hint="Write AllowedHostsOriginValidator(…) of channels.security.websocket around the "
            'application for "websocket" in the ProtocolTypeRouter.',
            id="arcly_channels.W001",
        )
        for gateway in unvalidated_gateways(application)
    ]


def unvalidated_gateways(application: object) -> list[type[GatewayConsumer]]:
    """Return the gateways that a tree of routers and middleware leads to past any validator.

    What a wrapper keeps in a closure is not found.
    """
    return list(dict.fromkeys(_walk(application, set())))


def _walk(node: object, seen: set[int]) -> Iterator[type[GatewayConsumer]]:
    if node is None or id(node) in seen or isinstance(node, OriginValidator):
        return
    seen.add(id(node))
    consumer = getattr(node, "consumer_class", None)  # Of what `as_asgi` returns.
    if isinstance(consumer, type) and issubclass(consumer, GatewayConsumer):
        yield consumer
    for child in _children(node):
        yield from _walk(child, seen)


def _children(node: object) -> Iterator[object]:
    mapping = getattr(node, "application_mapping", None)
    if isinstance(mapping, dict):  # A ProtocolTypeRouter.
        yield from mapping.values()
    routes = getattr(node, "routes", None)
    if isinstance(routes, (list, tuple)):  # A URLRouter.
        yield from (getattr(route, "callback", None) for route in routes)
    for name in _WRAPPED:
        child = getattr(node, name, None)
        if callable(child):
            yield child


def _imported(path: str) -> Callable[..., Any] | None:
    try:
        found: Callable[..., Any] = import_string(path)
    except ImportError:
        return None
    return found
