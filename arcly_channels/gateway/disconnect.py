"""Closing sockets from anywhere in Django: views, the admin, signals, threads, the shell.

Sockets are closed with 4401 for a user or a token, which says that a new token is needed, and with
4403 for a tenant. That is all these do: a token stays valid until it expires, so whoever is not to
come back must also be refused, by `authorize` or by suspending the tenant.

None waits for anything; the `a…` twins are for async code, where a layer may have to. All return
how many sockets were asked to close, and raise `ImproperlyConfigured` where no layer is ours.
"""

from __future__ import annotations

from django.core.exceptions import ImproperlyConfigured

from arcly_channels.close_codes import CloseCode
from arcly_channels.layers.configured import HINT, close_group, close_group_now, gateway_layers
from arcly_channels.rooms import TenantLike, lobby_name, token_group, user_group

_USER = CloseCode.UNAUTHENTICATED, "the user was disconnected"
_TOKEN = CloseCode.UNAUTHENTICATED, "the token was revoked"
_TENANT = CloseCode.FORBIDDEN, "the tenant was disconnected"


def disconnect_user(sub: object) -> int:
    """Close every socket whose claims have this `sub`, whatever its tenant."""
    return close_group_now(_checked(user_group(_name(sub, "sub"))), *_USER)


async def adisconnect_user(sub: object) -> int:
    """Do what `disconnect_user` does, in async code."""
    return await close_group(_checked(user_group(_name(sub, "sub"))), *_USER)


def disconnect_token(jti: object) -> int:
    """Close every socket whose present token has this `jti`: the one it was last refreshed by."""
    return close_group_now(_checked(token_group(_name(jti, "jti"))), *_TOKEN)


async def adisconnect_token(jti: object) -> int:
    """Do what `disconnect_token` does, in async code."""
    return await close_group(_checked(token_group(_name(jti, "jti"))), *_TOKEN)


def disconnect_tenant(tenant: TenantLike) -> int:
    """Close every socket of a tenant. Its clients may come back: see `TenantRegistry.suspend`."""
    return close_group_now(_checked(_lobby(tenant)), *_TENANT)


async def adisconnect_tenant(tenant: TenantLike) -> int:
    """Do what `disconnect_tenant` does, in async code."""
    return await close_group(_checked(_lobby(tenant)), *_TENANT)


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
