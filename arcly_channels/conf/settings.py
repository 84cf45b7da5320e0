"""The only reader of Django settings: `ARCLY_CHANNELS`, a dict whose every key has a default."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from django.conf import settings as django_settings
from django.core import mail
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from arcly_channels.conf import identity, limits, schema
from arcly_channels.conf.spelling import did_you_mean

NAME = "ARCLY_CHANNELS"

SHORTEST_KEY = 16
"""Characters that a secret has which whoever reaches the server may try to guess."""


def _number(default: float, *, least: int = 0, whole: bool = False) -> Any:
    return dataclasses.field(default=default, metadata={"least": least, "whole": whole})


def _rule(is_valid: Callable[[object], bool], hint: str) -> dict[str, Any]:
    return {"is_valid": is_valid, "hint": hint}


_SWITCH = _rule(lambda value: isinstance(value, bool), "Write True or False.")


_KEY = _rule(
    lambda value: value is None or (isinstance(value, str) and len(value) >= SHORTEST_KEY),
    f"At least {SHORTEST_KEY} characters are needed: secrets.token_urlsafe() makes some.",
)


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings as they are in force. Durations are in seconds, sizes in bytes."""

    OUTBOUND_BUFFER: int = _number(256, least=1, whole=True)
    """How many frames may wait for one connection before it is evicted."""
    OUTBOUND_BUFFER_BYTES: int = _number(1024 * 1024, least=1, whole=True)
    """How many bytes of payload may wait for one connection before it is evicted."""
    MAX_FRAME_BYTES: int = _number(1024 * 1024, whole=True)
    """How large one outbound frame may be; a larger one is an error at its sender."""
    EVICTION_GRACE: float = _number(1.0)
    """How long a closing connection may take to read what waits for it."""
    STALL_TIMEOUT: float = _number(30)
    """How long a client may take nothing of what waits for it before it is evicted."""
    INBOUND_BUFFER: int = _number(64, whole=True)
    """How many frames from one client may wait for its consumer before Daphne stops reading."""
    INBOUND_BUFFER_BYTES: int = _number(256 * 1024, whole=True)
    """How many bytes from one client may wait for its consumer before Daphne stops reading."""
    MAX_MESSAGE_BYTES: int = _number(1024 * 1024, whole=True)
    """How large one inbound message may be; who sends a larger one is closed with 1009."""
    RATE_LIMIT: limits.RateLimit = dataclasses.field(
        default=limits.RateLimit(),
        metadata={"complaints": limits.rate_complaints, "read": limits.read_rate_limit},
    )
    """What one client may send in the long run; who goes on beyond it is closed with 4429."""
    MAX_CONNECTIONS: int = _number(0, whole=True)
    """How many connections all gateways of a process may have; 0 is no limit."""
    MAX_CONNECTIONS_PER_USER: int = _number(0, whole=True)
    """How many of those may have claims of the same `sub`, in one tenant; 0 is no limit."""
    MAX_CONNECTIONS_PER_ADDRESS: int = _number(0, whole=True)
    """How many of those may come from one IPv4 address or IPv6 /64 network; 0 is no limit."""
    TRUSTED_PROXIES: Any = dataclasses.field(
        default=(), metadata={"complaints": limits.proxies_complaints, "read": limits.read_proxies}
    )
    """The networks whose `X-Forwarded-For` says where a client comes from."""
    HANDSHAKE_TIMEOUT: float = _number(10)
    """How long `authorize`, and then `on_connect`, may take; 0 is for ever."""
    MAX_ROOMS_PER_CONNECTION: int = _number(100, whole=True)
    """How many rooms one client may be in at a time; 0 is no limit."""
    PING_INTERVAL: float = _number(20)
    """How often a client is asked for a sign of life where its answer shows; 0 is never."""
    IDLE_TIMEOUT: float = _number(60)
    """How long a client that is asked may give no sign of life; 0 is for ever."""
    RECONNECT_RATE: float = _number(500, least=1)
    """How many clients should come back in a second after a restart; `arcly.v1` tells them."""
    DRAIN_DEADLINE: float = _number(10)
    """How long a server that ends waits for `on_disconnect` and for clients to take their close."""
    WATCH_KEY: str | None = dataclasses.field(default=None, metadata=_KEY)
    """What `manage.py gateway_top` shows instead of a login; without it, only staff may look."""
    JWT: identity.Jwt | None = dataclasses.field(
        default=None,
        metadata={"complaints": identity.jwt_complaints, "read": identity.read_jwt},
    )
    """Which tokens are believed; without it, none is looked for."""
    QUERY_TOKENS: bool = dataclasses.field(default=True, metadata=_SWITCH)
    """Whether a WebSocket's token may be in its URL, which proxies and servers log."""
    TOKEN_GRACE: float = _number(0)
    """How long a connection stays open after its token has expired."""
    CLAIMS_FROM_USER: Any = dataclasses.field(
        default=None, metadata=_rule(identity.is_claims_of_user, identity.CLAIMS_HINT)
    )
    """Where there is no token: makes claims of the logged-in user. True makes the usual ones."""
    DISCONNECT_ON_LOGOUT: bool = dataclasses.field(default=True, metadata=_SWITCH)
    """Whether sockets end with the sessions of users who have claims by CLAIMS_FROM_USER."""
    TENANTS: Any = dataclasses.field(
        default=(), metadata={"complaints": identity.tenants_complaints}
    )
    """The tenants, or what returns them."""
    TENANT_STRATEGY: Any = dataclasses.field(
        default=None, metadata=_rule(identity.is_strategy, identity.STRATEGY_HINT)
    )
    """How a request names its tenant; without it, there is no tenancy."""
    TENANT_FALLBACK: str | None = dataclasses.field(
        default=None, metadata=_rule(identity.is_fallback, identity.TENANT_ID_HINT)
    )
    """The tenant of a request that names no known one."""
    TENANT_CACHE_SECONDS: float = _number(60)
    """How old what the callable in TENANTS returned may become."""
    SCHEMA: Any = dataclasses.field(default=None, metadata=_rule(schema.is_schema, schema.HINT))
    """What `gateway_schema` says of the whole: TITLE, VERSION, DESCRIPTION, and URL."""


class Problem(NamedTuple):
    """What is wrong with a setting, and what would be right."""

    message: str
    hint: str


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """Return the settings; raise `ImproperlyConfigured` naming everything that is wrong."""
    given = getattr(django_settings, NAME, {})
    found = problems(given)
    if found:
        raise ImproperlyConfigured("; ".join(f"{each.message} ({each.hint})" for each in found))
    reads = {field.name: field.metadata.get("read") for field in dataclasses.fields(Settings)}
    return Settings(
        **{key: read(each) if (read := reads[key]) else each for key, each in given.items()}
    )


@lru_cache(maxsize=1)
def group_key() -> bytes:
    """Return the key that signs the names of reserved groups, which follows from SECRET_KEY.

    The servers of one project must share it, or they do not meet in the same groups.
    """
    secret = str(django_settings.SECRET_KEY).encode()
    return hashlib.blake2b(secret, digest_size=32, person=b"arcly.groups").digest()


def project_digest() -> str:
    """Return what the processes of one project have in common, and nobody else can guess.

    The database is part of it, so that neither staging beside production nor a run of tests is
    taken for a second process.
    """
    database = getattr(django_settings, "DATABASES", {}).get("default", {}).get("NAME")
    parts = (django_settings.SETTINGS_MODULE, getattr(django_settings, "BASE_DIR", None), database)
    return hashlib.blake2b(repr(parts).encode(), digest_size=16, key=group_key()).hexdigest()


def is_under_development() -> bool:
    """Return whether DEBUG is on or tests run, set up by Django's runner or pytest-django."""
    is_debug = django_settings.configured and bool(django_settings.DEBUG)  # A layer needs none.
    return is_debug or hasattr(mail, "outbox")


def problems(given: object) -> list[Problem]:
    """Return what is wrong with a value of the setting, nothing when it can be used."""
    if not isinstance(given, dict):
        return [Problem(f"{NAME} is not a dict", f'Write {NAME} = {{"OUTBOUND_BUFFER": 256}}.')]
    fields = {field.name: field for field in dataclasses.fields(Settings)}
    found = []
    for key, value in given.items():
        if key not in fields:
            hint = f"{did_you_mean(key, fields)}The keys are {', '.join(fields)}."
            found.append(Problem(f"{NAME} has no setting {key!r}", hint))
        elif "complaints" in fields[key].metadata:
            complaints = fields[key].metadata["complaints"](value)
            found.extend(Problem(f"{NAME}: {message}", hint) for message, hint in complaints)
        elif "is_valid" in fields[key].metadata:
            if not fields[key].metadata["is_valid"](value):
                found.append(Problem(f"{NAME}: {key} cannot be used", fields[key].metadata["hint"]))
        elif not _is_number(value, **fields[key].metadata):
            kind = "whole number" if fields[key].metadata["whole"] else "number"
            hint = f"A {kind} of at least {fields[key].metadata['least']} is needed."
            found.append(Problem(f"{NAME}[{key!r}] is {value!r}", hint))
    if given.get("TENANT_STRATEGY") is None and ("TENANTS" in given or "TENANT_FALLBACK" in given):
        hint = 'Say how a request names its tenant, as in {"SUBDOMAIN": "example.com"}.'
        found.append(Problem(f"{NAME} has tenants and no TENANT_STRATEGY", hint))
    if not found:
        found.extend(_contradictions(Settings(**given)))
    return found


def _contradictions(settings: Settings) -> list[Problem]:
    """Return what is wrong with values of which each could be used by itself."""
    if 0 < settings.IDLE_TIMEOUT <= settings.PING_INTERVAL:
        hint = "Raise IDLE_TIMEOUT, or set PING_INTERVAL to a third of it."
        message = (
            f"{NAME}: PING_INTERVAL is {settings.PING_INTERVAL:g} and IDLE_TIMEOUT "
            f"{settings.IDLE_TIMEOUT:g}: clients would be closed before they are asked"
        )
        return [Problem(message, hint)]
    return []


def _is_number(value: object, *, least: int, whole: bool) -> bool:
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        return False
    return least <= value < math.inf


def _forget(*, setting: str, **_: object) -> None:
    if setting == NAME:
        get_settings.cache_clear()
    if setting == "SECRET_KEY":
        group_key.cache_clear()


setting_changed.connect(_forget, dispatch_uid="arcly_channels.conf")
