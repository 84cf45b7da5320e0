"""System checks: what is configured wrongly is found by `manage.py`, not by the first client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

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
from arcly_channels.identity.origin import SameHostOriginValidator
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


@register("arcly_channels", "security", deploy=True)
def check_query_tokens(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """W002: tokens may be in the URLs of WebSockets, which proxies and servers log."""
    given = getattr(settings, conf.NAME, {})
    if conf.problems(given) or not given.get("JWT") or not given.get("QUERY_TOKENS", True):
        return []
    hint = 'Have pages send theirs as the subprotocols "bearer", token; set QUERY_TOKENS to False.'
    message = "tokens are taken from the URL of a WebSocket, which proxies and servers log"
    return [checks.Warning(message, hint=hint, id="arcly_channels.W002")]


@register("arcly_channels", "security")
def check_origins(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """W001: a page of any site can open a gateway's WebSocket with its visitor's cookies."""
    return [
        checks.Warning(
            f"{_name(routed.gateway)} is routed {routed.past}",
            hint="Write AllowedHostsOriginValidator(…) of channels.security.websocket around the "
            'application for "websocket" in the ProtocolTypeRouter, and name your hosts in '
            "ALLOWED_HOSTS.",
            id="arcly_channels.W001",
        )
        for routed in _routed_gateways()
        if routed.past
    ]


class _Routed(NamedTuple):
    """A gateway that the project serves, and what is wrong with how its origins are looked at."""

    gateway: type[GatewayConsumer]
    past: str


def _routed_gateways() -> list[_Routed]:
    """Return the gateways that the project's tree of routers and middleware leads to.

    What a wrapper keeps in a closure is not found.
    """
    try:
        application = get_default_application()
    except ImproperlyConfigured:
        return []  # There is none, or Django and the server have words of their own.
    return list(dict.fromkeys(_walk(application, "without an origin validator", set())))


def _walk(node: object, past: str, seen: set[tuple[int, str]]) -> Iterator[_Routed]:
    if node is None or (id(node), past) in seen:
        return
    seen.add((id(node), past))
    if isinstance(node, SameHostOriginValidator):
        past = ""
    elif isinstance(node, OriginValidator) and past:
        is_open = "*" in node.allowed_origins
        past = 'behind an origin validator that lets in every origin, "*"' if is_open else ""
    consumer = getattr(node, "consumer_class", None)  # Of what `as_asgi` returns.
    if isinstance(consumer, type) and issubclass(consumer, GatewayConsumer):
        yield _Routed(consumer, past)
    for child in _children(node):
        yield from _walk(child, past, seen)


def _name(gateway: type[GatewayConsumer]) -> str:
    return f"{gateway.__module__}.{gateway.__qualname__}"


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
