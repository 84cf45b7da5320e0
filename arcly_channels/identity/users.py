"""Claims of a logged-in Django user, for projects with sessions and no tokens."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from asgiref.sync import async_to_sync
from channels.db import database_sync_to_async
from django.utils.module_loading import import_string

from arcly_channels.conf.settings import get_settings
from arcly_channels.identity.claims import Claims, read_only

ClaimsOfUser = Callable[[Any], Any]


def claims_of_user(user: Any) -> Mapping[str, Any]:
    """Return what `CLAIMS_FROM_USER: True` says of a user: `sub`, `email` and `groups`."""
    return {
        "sub": str(user.pk),
        "email": getattr(user, user.get_email_field_name(), ""),
        "groups": list(user.groups.order_by("name").values_list("name", flat=True)),
    }


def get_claims_of_user() -> ClaimsOfUser | None:
    """Return the callable of the setting; None when users are not to have claims."""
    setting = get_settings().CLAIMS_FROM_USER
    if setting is None or setting is False:
        return None
    if setting is True:
        return claims_of_user
    found: ClaimsOfUser = import_string(setting) if isinstance(setting, str) else setting
    return found


def claims_from(user: Any, make: ClaimsOfUser) -> Claims | None:
    """Return the claims of a user, None for an anonymous one. For code that is not async."""
    if user is None or not user.is_authenticated:
        return None
    if inspect.iscoroutinefunction(make):
        return _checked(async_to_sync(make)(user))
    return _checked(make(user))


async def aclaims_from(user: Any, make: ClaimsOfUser) -> Claims | None:
    """Do what `claims_from` does, in async code; a plain callable may use the database."""
    if user is None or not user.is_authenticated:
        return None
    if inspect.iscoroutinefunction(make):
        return _checked(await make(user))
    return _checked(await database_sync_to_async(make)(user))


def subject_of(user: Any) -> str | None:
    """Return the `sub` of a user's claims; None of one who has none. For code that is not async."""
    make = get_claims_of_user()
    if make is None or make is claims_of_user:
        return str(user.pk)
    return _subject(claims_from(user, make))


async def asubject_of(user: Any) -> str | None:
    """Do what `subject_of` does, in async code."""
    make = get_claims_of_user()
    if make is None or make is claims_of_user:
        return str(user.pk)
    return _subject(await aclaims_from(user, make))


def _subject(claims: Claims | None) -> str | None:
    return None if claims is None else claims["sub"]


def _checked(claims: object) -> Claims | None:
    if claims is None:
        return None
    if not isinstance(claims, Mapping) or not isinstance(claims.get("sub"), str):
        raise TypeError(
            'the callable in CLAIMS_FROM_USER returns a mapping with a string as its "sub", '
            f"or None, not {type(claims).__name__}"
        )
    return read_only(claims)
