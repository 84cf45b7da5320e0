"""Tokens: which ones are believed, and how they are issued. Alone imports `jwt` (PyJWT)."""

from __future__ import annotations

import base64
import logging
import math
import re
import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import jwt
import orjson
from django.core.exceptions import ImproperlyConfigured

from arcly_channels.conf.identity import SHORTEST_SECRET, Jwt, JwtKey
from arcly_channels.conf.settings import get_settings
from arcly_channels.identity.claims import Claims, read_only

logger = logging.getLogger(__name__)

MAX_TOKEN_LENGTH = 8192
"""In characters. A longer one is not looked into."""

TOKEN_TYPE = "access"  # noqa: S105  # The value of a claim, not a secret.

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")  # RFC 7515, section 7.1.
_MIN_RSA_BITS = 2048

# What PyJWT raises, and what a payload of its issuer's making might: an `exp` of 1e999, a list
# nested a thousand times.
_UNBELIEVABLE = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)


class TokenVerifier:
    """Believes tokens as the setting `JWT` says. May be used from any thread.

    Every key verifies the one algorithm it is given for, so neither `none` nor a public key taken
    for a secret gets anywhere. Raises `ImproperlyConfigured` for a key that cannot be loaded.
    """

    def __init__(self, options: Jwt) -> None:
        self.cookie = options.cookie
        self.leeway = options.leeway
        self._issuer = options.issuer
        self._audience = options.audience or None
        self._jwt = jwt.PyJWT({"require": ["exp", "sub"], "verify_iat": False})
        self._keys = [
            (key.algorithm, key.kid, _load(index, key)) for index, key in enumerate(options.keys)
        ]

    def verify(self, token: str) -> Claims | None:
        """Return the token's claims, or None when it is not believed. Raises nothing.

        Believed is a token that one of the keys signed, with `sub` and `exp`, within `exp` and
        `nbf` give or take the leeway, with the right `iss` and `aud`, and of the type "access".
        """
        if len(token) > MAX_TOKEN_LENGTH or not _COMPACT.fullmatch(token):
            return None
        try:
            payload = self._decode(token)
            if payload is None or payload.get("type") != TOKEN_TYPE:
                return None
            if isinstance(payload["exp"], str):  # PyJWT reads its digits; RFC 7519 wants a number.
                return None
            return read_only(payload)
        except _UNBELIEVABLE as error:
            # Only the kind: the message may repeat what is in the token.
            logger.debug("A token is not believed: %s", type(error).__name__)
            return None

    def _decode(self, token: str) -> dict[str, Any] | None:
        header = _header(token)
        algorithm = str(header.get("alg"))
        for key in self._candidates(algorithm, header.get("kid")):
            try:
                return self._jwt.decode(
                    token,
                    key,
                    algorithms=[algorithm],
                    audience=self._audience,
                    issuer=self._issuer,
                    leeway=self.leeway,
                )
            except jwt.InvalidSignatureError:
                continue  # Another key may have signed it.
        return None

    def _candidates(self, algorithm: str, kid: object) -> list[Any]:
        """Return the keys of that algorithm: those of that `kid`, or else those that have none."""
        keys = [(own, key) for pinned, own, key in self._keys if pinned == algorithm]
        if kid is None:
            return [key for _, key in keys]
        return [key for own, key in keys if own == kid] or [key for own, key in keys if own is None]


def issue_token(claims: Mapping[str, Any], *, lifetime: float = 900) -> str:
    """Return a token with these claims that is believed for `lifetime` seconds from now.

    `sub` has to be among them; `type`, `iat`, `exp` and what the settings say of `iss` and `aud`
    are added, and a `jti`, which `disconnect_token` takes, unless the claims have one. It is signed
    by the first of the keys, which has to be a secret: raises `ImproperlyConfigured` otherwise. For
    logins, and for tests.
    """
    options = get_settings().JWT
    if options is None or options.keys[0].algorithm not in SHORTEST_SECRET:
        raise ImproperlyConfigured(
            'tokens are issued with a secret: ARCLY_CHANNELS["JWT"]["KEYS"][0] has to be one'
        )
    key, now = options.keys[0], time.time()
    times = {"iat": int(now), "exp": math.ceil(now + lifetime)}
    payload: dict[str, Any] = {"type": TOKEN_TYPE, "jti": uuid4().hex, **times, **claims}
    if options.issuer is not None:
        payload.setdefault("iss", options.issuer)
    if options.audience:
        payload.setdefault("aud", options.audience[0])
    headers = None if key.kid is None else {"kid": key.kid}
    return jwt.encode(payload, key.key, key.algorithm, headers=headers)


def _header(token: str) -> dict[str, Any]:
    """Return what chooses the key, which proves nothing yet: `decode` looks at it once more.

    PyJWT's own function takes the whole token apart for it, a third of the cost of verifying.
    """
    encoded = token.partition(".")[0]
    header = orjson.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    return header if isinstance(header, dict) else {}


def _load(index: int, key: JwtKey) -> Any:
    """Make a key of what the settings hold, so that it is found now if that is none."""
    try:
        loaded = jwt.PyJWS().get_algorithm_by_name(key.algorithm).prepare_key(key.key)
    except (jwt.PyJWTError, ValueError, TypeError, NotImplementedError) as error:
        raise _unusable(index, f"is no {key.algorithm} key: a PEM is needed") from error
    if hasattr(loaded, "private_numbers"):
        raise _unusable(index, "is a private key: give its public part, which is all it takes")
    if key.algorithm.startswith("RS") and loaded.key_size < _MIN_RSA_BITS:
        raise _unusable(index, f"is shorter than {_MIN_RSA_BITS} bits: make a longer one")
    return loaded


def _unusable(index: int, problem: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f'ARCLY_CHANNELS["JWT"]["KEYS"][{index}] {problem}')
