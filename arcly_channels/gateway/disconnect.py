"""Closing sockets from anywhere in the server's process: views, the admin, signals, threads.

Sockets are closed with 4401 for a user or a token, which says that a new token is needed, and with
4403 for a tenant. That is all these do: a token stays valid until it expires, so whoever is not to
come back must also be refused, by `authorize` or by suspending the tenant.

None waits for anything; the `a…` twins are for async code, where a layer may have to. All return
how many sockets were asked to close, and raise `ImproperlyConfigured` where no layer is ours.
"""

from __future__ import annotations

import copy
from contextlib import suppress
from functools import partial
from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from arcly_channels.close_codes import CloseCode
from arcly_channels.conf.settings import get_settings
from arcly_channels.identity.users import asubject_of, get_claims_of_user, subject_of
from arcly_channels.layers.configured import HINT, close_group, close_group_now, gateway_layers
from arcly_channels.rooms import TenantLike, lobby_name, token_group, user_group

_USER = CloseCode.UNAUTHENTICATED, "the user was disconnected"
_TOKEN = CloseCode.UNAUTHENTICATED, "the token was revoked"
_TENANT = CloseCode.FORBIDDEN, "the tenant was disconnected"


def disconnect_user(sub: object, *, tenant: TenantLike | None = None) -> int:
    """Close every socket whose claims have this `sub`, with 4401.

    Those of `tenant`, or whatever the tenant for None. A user object stands for the `sub` of the
    claims that `CLAIMS_FROM_USER` makes of it, or else for its primary key.
    """
    subject = subject_of(sub) if _is_user(sub) else _name(sub, "sub")
    if subject is None:
        return 0
    return close_group_now(_checked(user_group(subject, tenant)), *_USER)


async def adisconnect_user(sub: object, *, tenant: TenantLike | None = None) -> int:
    """Do what `disconnect_user` does, in async code."""
    subject = await asubject_of(sub) if _is_user(sub) else _name(sub, "sub")
    if subject is None:
        return 0
    return await close_group(_checked(user_group(subject, tenant)), *_USER)


def disconnect_token(jti: object) -> int:
    """Close every socket that has had the token of this `jti`, with 4401.

    Whether it came with that token, or was refreshed by it later.
    """
    return close_group_now(_checked(token_group(_name(jti, "jti"))), *_TOKEN)


async def adisconnect_token(jti: object) -> int:
    """Do what `disconnect_token` does, in async code."""
    return await close_group(_checked(token_group(_name(jti, "jti"))), *_TOKEN)


def disconnect_tenant(tenant: TenantLike) -> int:
    """Close every socket of a tenant, given as its id or as an object with one, with 4403.

    Its clients may come back: see `TenantRegistry.suspend`.
    """
    return close_group_now(_checked(_lobby(tenant)), *_TENANT)


async def adisconnect_tenant(tenant: TenantLike) -> int:
    """Do what `disconnect_tenant` does, in async code."""
    return await close_group(_checked(_lobby(tenant)), *_TENANT)


def follow_users() -> None:
    """Have sockets end with the sessions of their users, from now on.

    That is at a logout, with a new password, and when a user is deactivated or deleted: where
    `save` or `delete` does it, since an update of a queryset tells nobody.
    """
    from django.contrib.auth import get_user_model
    from django.contrib.auth.signals import user_logged_out
    from django.db.models.signals import post_delete, post_save

    user_logged_out.connect(_on_logout, dispatch_uid=__name__)
    if apps.is_installed("django.contrib.auth"):
        for model in apps.get_models():
            if issubclass(model, get_user_model()):  # It, and its proxies.
                post_save.connect(_on_save, sender=model, dispatch_uid=__name__)
                post_delete.connect(_on_delete, sender=model, dispatch_uid=__name__)


def _on_logout(*, user: Any, **_: object) -> None:
    if user is not None:
        _end_sessions(user)


def _on_save(*, instance: Any, using: str, **_: object) -> None:
    # Django keeps the raw password until the user is saved, and not where only its hash is renewed.
    if not getattr(instance, "is_active", True) or getattr(instance, "_password", None) is not None:
        _end_sessions(instance, using)


def _on_delete(*, instance: Any, using: str, **_: object) -> None:
    _end_sessions(instance, using)


def _end_sessions(user: Any, using: str | None = None) -> None:
    """Close the sockets of a user, once nobody can come back by a session that is to end."""
    if get_settings().DISCONNECT_ON_LOGOUT and get_claims_of_user() is not None:
        user = copy.copy(user)  # One that is deleted loses its key before the commit.
        # Robust: whatever goes wrong there is logged, and the logout is done.
        transaction.on_commit(partial(_close_sockets, user), using=using, robust=True)


def _close_sockets(user: Any) -> None:
    with suppress(AttributeError):  # Where a project computes it.
        user.is_active = True  # The claims of its sockets were made when it was.
    if gateway_layers():  # In a process without any, there is nothing to say.
        disconnect_user(user)


def _is_user(value: object) -> bool:
    return getattr(value, "pk", None) is not None


def _name(value: object, what: str) -> str:
    """Return the string that a claim is; a key of a database is taken for its digits."""
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise TypeError(f"{what} is a non-empty string or a number, not {value!r}")
    return str(value)


def _lobby(tenant: TenantLike | None) -> str:
    if tenant is None:
        raise TypeError("a tenant is needed; None would be those who have none")
    return lobby_name(tenant)


def _checked(group: str) -> str:
    if not gateway_layers():
        raise ImproperlyConfigured(
            f"there are no sockets to close, because no layer in CHANNEL_LAYERS is ours: {HINT}"
        )
    return group
