"""Claims: what is known about who is behind a connection, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from django.core.exceptions import ImproperlyConfigured

from arcly_channels.conf.identity import Jwt
from arcly_channels.conf.settings import get_settings

if TYPE_CHECKING:
    from arcly_channels.identity.tokens import TokenVerifier

Claims = Mapping[str, Any]

_FOR_EVER = 1e12


def read_only(claims: Mapping[str, Any]) -> Claims:
    """Return claims that nobody can change: nested objects are read-only, lists are tuples."""
    return MappingProxyType({key: _frozen(value) for key, value in claims.items()})


def expiry_of(claims: Claims | None) -> float | None:
    """Return the time that claims end at, in seconds since 1970; None when they do not."""
    expiry = None if claims is None else claims.get("exp")
    if isinstance(expiry, bool) or not isinstance(expiry, (int, float)):
        return None
    return float(max(0, expiry)) if expiry < _FOR_EVER else None


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return read_only(value)
    if isinstance(value, (list, tuple)):
        return tuple(_frozen(each) for each in value)
    return value


def get_verifier() -> TokenVerifier | None:
    """Return what believes tokens as the settings say; None where they know no tokens."""
    return load_verifier(get_settings().JWT)


@lru_cache(maxsize=1)
def load_verifier(options: Jwt | None) -> TokenVerifier | None:
    """Return what believes tokens as `options` say; raise `ImproperlyConfigured` for a bad key."""
    if options is None:
        return None
    try:
        from arcly_channels.identity.tokens import TokenVerifier  # PyJWT is an optional extra.
    except ImportError as error:
        raise ImproperlyConfigured(
            'ARCLY_CHANNELS["JWT"] needs PyJWT: pip install "arcly_channels[jwt]"'
        ) from error
    return TokenVerifier(options)
