"""The one verifier of a process, loaded only where the settings know tokens."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from django.core.exceptions import ImproperlyConfigured

from arcly_channels.conf.identity import Jwt
from arcly_channels.conf.settings import get_settings

if TYPE_CHECKING:
    from arcly_channels.identity.tokens import TokenVerifier


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
