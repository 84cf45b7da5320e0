"""The settings about who is behind a connection: their shape, and what is wrong with them.

No message made here repeats a value: one of them might be a secret.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from arcly_channels.conf.spelling import did_you_mean

Complaints = Iterator[tuple[str, str]]
"""What is wrong, and what would be right."""

SHORTEST_SECRET = {"HS256": 32, "HS384": 48, "HS512": 64}
"""The bytes that a secret needs: as many as the algorithm's digest has (RFC 7518, section 3.2)."""

ALGORITHMS = (*SHORTEST_SECRET, "RS256", "RS384", "RS512", "ES256", "ES384", "ES512")

STRATEGY_KEYS = (("HEADER",), ("SUBDOMAIN",), ("HEADER", "SUBDOMAIN"), ("CLAIM",))

CLAIMS_HINT = "True, or a callable that takes a user, or the dotted path of one is needed."
TENANT_ID_HINT = "An id is 1 to 100 printable ASCII characters without spaces and commas."
TENANTS_HINT = (
    'A list of ids or of {"id": …, "name": …, "suspended": False} is needed, or a callable that '
    "returns one, sync or async, or the dotted path of such a callable."
)
STRATEGY_HINT = (
    'Write {"HEADER": "X-Tenant"}, {"SUBDOMAIN": "example.com"}, both of them in one dict, or '
    '{"CLAIM": "tenant"}; or give a strategy or the dotted path of one.'
)


@dataclasses.dataclass(frozen=True)
class JwtKey:
    """A key that verifies tokens of one algorithm. Its `repr` does not show it."""

    key: str | bytes = dataclasses.field(repr=False)
    algorithm: str = "HS256"
    kid: str | None = None


@dataclasses.dataclass(frozen=True)
class Jwt:
    """The setting `JWT`: which tokens are believed, and where they are looked for."""

    keys: tuple[JwtKey, ...]
    """The keys; all of them verify, so a previous one stays here for as long as its tokens live."""
    issuer: str | None = None
    """The `iss` that tokens must have; None believes any."""
    audience: tuple[str, ...] = ()
    """The `aud` of which tokens must have one; without it a token must have none."""
    leeway: float = 0
    """Seconds by which the clocks of the issuer and of this server may differ."""
    cookie: str | None = "access_token"
    """The cookie, made by `response.set_signed_cookie(name, token)`; None looks at no cookie."""


def read_jwt(value: Any) -> Jwt | None:
    """Return a value of the setting `JWT` in which nothing is wrong as a `Jwt`."""
    if value is None:
        return None
    options = {key.lower(): each for key, each in value.items()}
    options["keys"] = tuple(_read_key(each) for each in value["KEYS"])
    audience = value.get("AUDIENCE") or ()
    options["audience"] = (audience,) if isinstance(audience, str) else tuple(audience)
    return Jwt(**options)


def _read_key(value: Any) -> JwtKey:
    if isinstance(value, Mapping):
        return JwtKey(**{key.lower(): each for key, each in value.items()})
    return JwtKey(value)


def jwt_complaints(value: object) -> Complaints:
    """Yield what is wrong with a value of the setting `JWT`."""
    if value is None:
        return
    if not isinstance(value, dict):
        yield "JWT is not a dict", 'Write "JWT": {"KEYS": [secret]}.'
        return
    checks: dict[str, tuple[Callable[[Any], bool], str]] = {
        "KEYS": (_is_filled_list, "A list with at least one key is needed."),
        "ISSUER": (_is_text_or_none, "A string is needed."),
        "AUDIENCE": (_is_audience, "A string or a list of strings is needed."),
        "LEEWAY": (_is_duration, "Seconds, 0 or more, are needed."),
        "COOKIE": (_is_text_or_none, "The name of a cookie is needed, or None."),
    }
    for key in value:
        if key not in checks:
            hint = f"{did_you_mean(key, checks)}The keys are {', '.join(checks)}."
            yield "JWT has an unknown key", hint
    for key, (is_valid, hint) in checks.items():
        if (key in value or key == "KEYS") and not is_valid(value.get(key)):
            yield f'JWT["{key}"] cannot be used', hint
    if _is_filled_list(value.get("KEYS")):
        for index, each in enumerate(value["KEYS"]):
            for problem, hint in _key_complaints(each):
                yield f'JWT["KEYS"][{index}] {problem}', hint


def _key_complaints(value: object) -> Complaints:
    shape = 'Write a secret, or {"KEY": …, "ALGORITHM": "HS256", "KID": "2030-01"}.'
    options = value if isinstance(value, dict) else {"KEY": value}
    key, algorithm, kid = options.get("KEY"), options.get("ALGORITHM", "HS256"), options.get("KID")
    if set(options) - {"KEY", "ALGORITHM", "KID"} or not isinstance(key, (str, bytes)):
        yield "is not a key", shape
    elif not _is_text_or_none(kid):
        yield "has a KID that is no string", shape
    elif algorithm not in ALGORITHMS:
        yield "has an ALGORITHM that is not supported", f"It is one of {', '.join(ALGORITHMS)}."
    elif algorithm in SHORTEST_SECRET:
        secret = key.encode() if isinstance(key, str) else key
        least = SHORTEST_SECRET[algorithm]
        if b"-----BEGIN" in secret:
            yield f"is a PEM, but {algorithm} takes a secret", "Name the ALGORITHM of the key."
        elif len(secret) < least:
            hint = f"{algorithm} wants at least {least}: secrets.token_urlsafe({least}) makes one."
            yield f"is a secret of {len(secret)} bytes", hint


def tenants_complaints(value: object) -> Complaints:
    """Yield what is wrong with a value of the setting `TENANTS`."""
    if not isinstance(value, (list, tuple)):
        if not _is_reference(value):
            yield "TENANTS cannot be used", TENANTS_HINT
        return
    for index, each in enumerate(value):
        options = {"id": each} if isinstance(each, str) else each
        if not isinstance(options, dict) or set(options) - {"id", "name", "suspended"}:
            yield f"TENANTS[{index}] is not a tenant", 'Write an id, or {"id": …, "name": …}.'
        elif not is_tenant_id(options.get("id")):
            yield f"TENANTS[{index}] has an unusable id", TENANT_ID_HINT
        elif not isinstance(options.get("name", ""), str):
            yield f"TENANTS[{index}] has a name that is no string", "Write a string."
        elif not isinstance(options.get("suspended", False), bool):
            yield f"TENANTS[{index}] has a suspended that is no bool", "Write True or False."


def is_claims_of_user(value: object) -> bool:
    """Return whether `value` can be the setting `CLAIMS_FROM_USER`."""
    return value is None or isinstance(value, bool) or _is_reference(value)


def is_strategy(value: object) -> bool:
    """Return whether `value` can be the setting `TENANT_STRATEGY`."""
    if isinstance(value, dict):
        is_filled = all(isinstance(each, str) and each for each in value.values())
        return is_filled and set(value) in map(set, STRATEGY_KEYS)
    return value is None or _is_reference(value)


def is_fallback(value: object) -> bool:
    """Return whether `value` can be the setting `TENANT_FALLBACK`."""
    return value is None or is_tenant_id(value)


def is_tenant_id(value: object) -> bool:
    """Return whether `value` can be the id of a tenant: what a header can carry unambiguously."""
    return (
        isinstance(value, str)
        and 1 <= len(value) <= 100
        and all("!" <= each <= "~" and each != "," for each in value)
    )


def _is_reference(value: object) -> bool:
    """Return whether `value` is a callable, or looks like the dotted path of one."""
    if isinstance(value, str):
        return "." in value and all(part.isidentifier() for part in value.split("."))
    return callable(value)


def _is_filled_list(value: object) -> bool:
    return isinstance(value, (list, tuple)) and bool(value)


def _is_text_or_none(value: object) -> bool:
    return value is None or (isinstance(value, str) and bool(value))


def _is_audience(value: object) -> bool:
    if isinstance(value, (list, tuple)):
        return bool(value) and all(isinstance(each, str) and each for each in value)
    return _is_text_or_none(value)


def _is_duration(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf
