"""System checks: what is configured wrongly is found by `manage.py`, not by the first client."""

from __future__ import annotations

import inspect
from typing import Any, TypeGuard
from urllib.parse import parse_qs, urlsplit

from channels.routing import get_default_application
from channels.security.websocket import OriginValidator
from django.conf import settings
from django.core import checks
from django.core.checks import CheckMessage, Error, register
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from arcly_channels.conf import settings as conf
from arcly_channels.conf.identity import Complaints, read_jwt
from arcly_channels.conf.spelling import did_you_mean, meant
from arcly_channels.gateway.consumer import GatewayConsumer
from arcly_channels.gateway.routed import Routed, routed_gateways
from arcly_channels.gateway.serving import Serving
from arcly_channels.identity.origin import SameHostOriginValidator
from arcly_channels.identity.verifier import load_verifier
from arcly_channels.layers.base import GatewayLayer

LAYER = "arcly_channels.layers.LocalChannelLayer"
SHARED_LAYER = "arcly_channels.layers.RedisChannelLayer"
NAMES = (conf.NAME, "CHANNEL_LAYERS")
"""The settings of Django that this package reads."""

SHAPE = f'Write CHANNEL_LAYERS = {{"default": {{"BACKEND": "{LAYER}"}}}}.'

REFERENCES = ("CLAIMS_FROM_USER", "TENANTS", "TENANT_STRATEGY")


@register("arcly_channels")
def check_settings(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """E001: a key or a value of ARCLY_CHANNELS cannot be used."""
    return [
        Error(problem.message, hint=problem.hint, id="arcly_channels.E001")
        for problem in conf.problems(getattr(settings, conf.NAME, {}))
    ]


@register("arcly_channels")
def check_names(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """W003: a setting of Django is there under a name like ours, and nobody reads it."""
    found: list[CheckMessage] = []
    for name in sorted(set(dir(settings)) - set(NAMES)):
        intended = meant(name, NAMES, cutoff=0.9)
        if intended is not None:
            message, hint = f"nobody reads the setting {name}", f"Did you mean {intended}?"
            found.append(checks.Warning(message, hint=hint, id="arcly_channels.W003"))
    return found


@register("arcly_channels")
def check_layers(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """E002: the CONFIG of one of our layers cannot be used. E004: nor can a BACKEND."""
    if not isinstance(getattr(settings, "CHANNEL_LAYERS", {}), dict):
        return [Error("CHANNEL_LAYERS is not a dict", hint=SHAPE, id="arcly_channels.E004")]
    found: list[CheckMessage] = []
    for alias, layer in _layers().items():
        backend = _backend(layer)
        if backend is None:
            given = layer.get("BACKEND") if isinstance(layer, dict) else None
            message = f'the BACKEND of CHANNEL_LAYERS["{alias}"] cannot be imported: {given!r}'
            found.append(Error(message, hint=_backend_hint(given), id="arcly_channels.E004"))
        elif _is_ours(backend):
            found.extend(
                Error(message, hint=hint, id="arcly_channels.E002")
                for message, hint in _config_complaints(alias, backend, layer)
            )
    return found


@register("arcly_channels")
def check_prefixes(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """W004: projects are told apart by the number of a database, which pub/sub does not look at."""
    found: list[CheckMessage] = []
    for alias, layer in _layers().items():
        config = layer.get("CONFIG", {}) if _is_ours(_backend(layer)) else {}
        hosts = config.get("hosts") if isinstance(config, dict) and "prefix" not in config else None
        if isinstance(hosts, (list, tuple)) and any(map(_has_database, hosts)):
            message = (
                f'CHANNEL_LAYERS["{alias}"] names a database of Redis and no prefix: what is '
                "published there is heard in all databases"
            )
            hint = 'Give each project a "prefix" of its own in the CONFIG.'
            found.append(checks.Warning(message, hint=hint, id="arcly_channels.W004"))
    return found


def _has_database(host: object) -> bool:
    """Return whether a host of a layer names a database other than the first."""
    if isinstance(host, dict):
        return bool(host.get("db")) or _has_database(host.get("address"))
    if not isinstance(host, str):
        return False
    url = urlsplit(host)
    asked = parse_qs(url.query).get("db", [""])[0]
    path = "" if url.scheme == "unix" else url.path.strip("/")
    return (asked or path or "0") != "0"


@register("arcly_channels")
def check_gateways(app_configs: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """E005: a gateway is routed whose layer is missing, or is not one of ours."""
    found: list[CheckMessage] = []
    for gateway in dict.fromkeys(each.gateway for each in _routed()):
        alias, layers = gateway.channel_layer_alias, _layers()
        backend = _backend(layers.get(alias))
        if alias not in layers or (isinstance(backend, type) and not _is_ours(backend)):
            what = "is not one of ours" if alias in layers else "is missing"
            message = (
                f'{_name(gateway)} is routed, and its layer, CHANNEL_LAYERS["{alias}"], {what}'
            )
            hint = f'Its BACKEND must be "{LAYER}", or "{SHARED_LAYER}" for several processes.'
            found.append(Error(message, hint=hint, id="arcly_channels.E005"))
    return found


def _layers() -> dict[str, Any]:
    given = getattr(settings, "CHANNEL_LAYERS", {})
    return given if isinstance(given, dict) else {}


def _backend(layer: Any) -> object:
    """Return what the BACKEND of a layer leads to; None where that makes no layers."""
    return _imported(layer.get("BACKEND")) if isinstance(layer, dict) else None


def _backend_hint(given: object) -> str:
    if not isinstance(given, str):
        return SHAPE
    if given == SHARED_LAYER:
        return (
            "It needs redis[hiredis] and msgpack, which the extra `redis` of this package brings."
        )
    name = meant(given, [LAYER, SHARED_LAYER], cutoff=0.76)
    return f"Did you mean {name}?" if name else "Is its package installed?"


def _is_ours(backend: object) -> TypeGuard[type[GatewayLayer]]:
    return isinstance(backend, type) and issubclass(backend, GatewayLayer)


def _config_complaints(
    alias: str, backend: type[GatewayLayer], layer: dict[str, Any]
) -> Complaints:
    where, config = f'the CONFIG of CHANNEL_LAYERS["{alias}"]', layer.get("CONFIG", {})
    options = list(inspect.signature(backend).parameters)
    for key in set(layer).intersection(options):
        yield (
            f"{key!r} is beside {where}, where nobody reads it",
            f'Write "CONFIG": {{"{key}": …}}.',
        )
    unknown = [key for key in config if key not in options] if isinstance(config, dict) else []
    for key in unknown:
        advice = did_you_mean(key, options) or "Drop it. "
        yield f"{where} has no option {key!r}", f"{advice}The options are {', '.join(options)}."
    if not unknown:
        try:
            backend(**config)
        except (TypeError, ValueError) as error:
            hint = f"Options and what they mean: {backend.__module__}.{backend.__qualname__}."
            yield f"{where} cannot be used: {error}", hint


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
        is_missing = isinstance(error.__cause__, ImportError)  # The message says of what.
        hint = "A PEM of the public key is needed, or a secret and its ALGORITHM."
        found.append(Error(str(error), hint=None if is_missing else hint, id="arcly_channels.E003"))
    for key in REFERENCES:
        if isinstance(given.get(key), str) and _imported(given[key]) is None:
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
            f"{_name(gateway)} is routed {past}",
            hint="Write AllowedHostsOriginValidator(…) of channels.security.websocket around the "
            'application for "websocket" in the ProtocolTypeRouter, and name your hosts in '
            "ALLOWED_HOSTS.",
            id="arcly_channels.W001",
        )
        for gateway, past in dict.fromkeys((each.gateway, _past(each)) for each in _routed())
        if past
    ]


def _routed() -> list[Routed]:
    """Return the gateways that the project's application leads to."""
    try:
        application = get_default_application()
    except ImproperlyConfigured:
        return []  # There is none, or Django and the server have words of their own.
    return routed_gateways(application)


def _past(routed: Routed) -> str:
    """Return what is wrong with how origins are looked at on the way to a gateway, if anything is.

    Nothing is for an event stream: pages of another origin cannot read it.
    """
    past = "without an origin validator" if issubclass(routed.gateway, GatewayConsumer) else ""
    for node in routed.behind if past else ():
        if isinstance(node, SameHostOriginValidator):
            return ""
        if isinstance(node, OriginValidator):
            if "*" not in node.allowed_origins:
                return ""
            past = 'behind an origin validator that lets in every origin, "*"'
    return past


def _name(gateway: type[Serving]) -> str:
    return f"{gateway.__module__}.{gateway.__qualname__}"


def _imported(path: Any) -> object:
    """Return the callable that a dotted path leads to; None where there is none."""
    try:
        found = import_string(path)
    except (ImportError, AttributeError):  # It is no string.
        return None
    return found if callable(found) else None
