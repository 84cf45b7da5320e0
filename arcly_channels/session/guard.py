"""Who may come into a gateway, what they may send, and for how long they may stay."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from arcly_channels.close_codes import CloseCode
from arcly_channels.conf.settings import get_settings
from arcly_channels.exceptions import EventRefused, Refused
from arcly_channels.identity.address import origin_of
from arcly_channels.identity.claims import Access, Claims, Deadline, groups_of
from arcly_channels.identity.handshake import Handshake
from arcly_channels.identity.middleware import IDENTIFIED_AT, MISMATCH
from arcly_channels.identity.strategies import get_strategy
from arcly_channels.identity.tenancy import get_tenants, is_mismatched
from arcly_channels.identity.verifier import get_verifier
from arcly_channels.layers.closings import Closings
from arcly_channels.reasons import EXPIRED, SUSPENDED, Limit
from arcly_channels.rooms import TenantLike, lobby_name, tenant_id
from arcly_channels.session.limits import Share
from arcly_channels.wire import protocol

Authorize = Callable[[], Awaitable[None]]
"""Decides about the claims in force; raises `Refused` to say no."""

LONGEST_WAIT = 3600.0
"""Seconds until the clock is looked at again, which somebody may have set meanwhile."""

MAX_REFRESHES = 256
"""How many fresh tokens one connection takes, since it stays in the group of each."""


class Guarded(Protocol):
    """An event, and what it asks of claims."""

    @property
    def event(self) -> str: ...
    @property
    def access(self) -> Access: ...


@dataclasses.dataclass(frozen=True)
class Policy:
    """What a gateway class asks of every client."""

    require_claims: bool
    require_tenant: bool | None
    access: Access

    @classmethod
    def of(cls, gateway: Any) -> Policy:
        """Read the attributes of a class; raise `TypeError` for what cannot be asked."""
        roles, perms = gateway.required_roles, gateway.required_perms
        access = Access.of(roles, perms, where=gateway.__qualname__)
        return cls(gateway.require_claims, gateway.require_tenant, access)


class Guard:
    """Enforces a policy on one client, whose claims and tenant are in its scope.

    `closings` are those of the layer that it is on its way into.
    The claims in the scope are those in force, except while `refresh` has others judged.
    """

    __slots__ = (
        "_closings",
        "_deadline",
        "_deadline_of",
        "_groups",
        "_groups_of",
        "_policy",
        "_refreshes",
        "_scope",
        "_since",
        "_timer",
    )

    def __init__(self, policy: Policy, scope: dict[str, Any], closings: Closings) -> None:
        self._policy = policy
        self._scope = scope
        self._closings = closings
        # Other middleware may have found the claims, and does not say when.
        self._since: float = scope.get(IDENTIFIED_AT, time.monotonic())
        """Whatever was closed before that does not count against the claims in force."""
        self._timer: asyncio.TimerHandle | None = None
        self._refreshes = 0
        self._deadline: Deadline | None = None
        self._deadline_of: Claims | None = None
        self._groups: list[str] = []
        self._groups_of: object = None

    @property
    def claims(self) -> Claims | None:
        claims: Claims | None = self._scope.get("claims")
        return claims

    @property
    def tenant(self) -> TenantLike | None:
        tenant: TenantLike | None = self._scope.get("tenant")
        return tenant

    def check_entry(self) -> None:
        """Raise `Refused` for a client that does not belong here.

        Raises `TypeError` for a tenant that has no usable id, while there is no socket yet.
        """
        self.groups()
        policy = self._policy
        if self.claims is None and (policy.require_claims or policy.access):
            raise Refused(CloseCode.UNAUTHENTICATED, "a valid token is needed")
        is_required = policy.require_tenant
        if is_required is None:
            is_required = _has_tenancy()
        if is_required and self.tenant is None:
            raise Refused(CloseCode.FORBIDDEN, "no such tenant")
        self._check_claims(self.claims)

    def check_meanwhile(self) -> None:
        """Raise `Refused` where a client lost its right to be here since it was looked at.

        To be asked twice, before a client joins its groups and after: whoever closes one of them
        from then on finds it there.
        """
        left = self._time_left()
        if left is not None and left <= 0:
            raise Refused(CloseCode.UNAUTHENTICATED, EXPIRED)
        if self._is_suspended():
            raise Refused(CloseCode.FORBIDDEN, SUSPENDED)
        closing = self._closings.since(self._since, self.groups())
        if closing is not None:
            raise Refused(closing.code, closing.reason)

    def check_event(self, subscription: Guarded) -> None:
        """Raise `EventRefused` for an event that is not for this client to send."""
        access = subscription.access
        if access and not access.allows(self.claims):
            raise EventRefused(protocol.FORBIDDEN, f"not allowed: {subscription.event}")

    def shares(self) -> dict[Share, int]:
        """Return in which shares this client counts, and how many places each has."""
        settings, shares = get_settings(), dict[Share, int]()
        sub = (self.claims or {}).get("sub")
        if settings.MAX_CONNECTIONS_PER_USER and sub not in (None, ""):
            tenant = None if self.tenant is None else tenant_id(self.tenant)
            shares[Share(Limit.USER, (tenant, str(sub)))] = settings.MAX_CONNECTIONS_PER_USER
        if settings.MAX_CONNECTIONS_PER_ADDRESS:
            address = origin_of(self._scope, settings.TRUSTED_PROXIES)
            if address is not None:
                shares[Share(Limit.ADDRESS, address)] = settings.MAX_CONNECTIONS_PER_ADDRESS
        return shares

    def groups(self) -> list[str]:
        """Return the groups through which this client is reached: lobby, subject and token."""
        claims, tenant = self.claims, self.tenant
        names = (tenant, claims and claims.get("sub"), claims and claims.get("jti"))
        if names != self._groups_of:  # They are asked for thrice, and seals take their time.
            self._groups, self._groups_of = [lobby_name(tenant), *groups_of(claims, tenant)], names
        return self._groups

    async def refresh(self, token: object, authorize: Authorize) -> Claims:
        """Put the claims of a fresh token in force, and return them.

        It has to be of the same subject and tenant and to fulfil the policy, and `authorize`, which
        finds the new claims in the scope, must not refuse it: else this raises `EventRefused`.
        Then, and whatever else `authorize` raises, the old claims are in force as before.
        """
        self._since = time.monotonic()
        before, claims = self.claims, self._verified(token)
        deadline = self._deadline, self._deadline_of
        try:
            self._check_claims(claims)
            self._check_same_tenant(claims)
            self._scope["claims"] = claims
            await authorize()
        except BaseException as error:
            self._scope["claims"] = before
            self._deadline, self._deadline_of = deadline
            if isinstance(error, Refused):
                raise EventRefused(protocol.FORBIDDEN, error.reason) from None
            raise
        self._refreshes += 1
        return claims

    def watch(self, close: Callable[[int, str], None]) -> None:
        """Have the socket closed when its claims end, give or take what the settings allow."""
        self.stop_watching()
        left = self._time_left()
        if left is None:
            return
        if left <= 0:
            close(CloseCode.UNAUTHENTICATED, EXPIRED)
            return
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(min(left, LONGEST_WAIT), self.watch, close)

    def stop_watching(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # Inside

    def _time_left(self) -> float | None:
        """Return for how many seconds a connection may stay; None where its claims do not end."""
        claims = self.claims
        if claims is not self._deadline_of:
            self._deadline, self._deadline_of = Deadline.of(claims, grace=_grace()), claims
        return None if self._deadline is None else self._deadline.time_left()

    def _verified(self, token: object) -> Claims:
        """Return the claims of a token of the same subject, or raise `EventRefused`."""
        verifier = get_verifier()
        claims = verifier.verify(token) if verifier and isinstance(token, str) else None
        if claims is None:
            raise EventRefused(protocol.UNAUTHENTICATED, 'no valid token: data is {"token": "…"}')
        if self.claims is None or self.claims.get("sub") != claims.get("sub"):
            raise EventRefused(protocol.FORBIDDEN, "the token is of another subject")
        if self._refreshes >= MAX_REFRESHES:
            raise EventRefused(protocol.FORBIDDEN, "too many refreshes: connect anew")
        return claims

    def _check_claims(self, claims: Claims | None) -> None:
        if (self.tenant is not None or _has_tenancy()) and is_mismatched(claims, self.tenant):
            raise Refused(CloseCode.FORBIDDEN, MISMATCH)
        if not self._policy.access.allows(claims):
            raise Refused(CloseCode.FORBIDDEN, "a role or a permission is missing")

    def _check_same_tenant(self, claims: Claims) -> None:
        """Raise `Refused` where the handshake would give these claims another tenant, or none."""
        strategy = get_strategy()
        if strategy is None or self.tenant is None:
            return
        # Not compared with `self.tenant`, which other middleware may have found in its own way.
        handshake, tenants = Handshake.of_scope(self._scope), get_tenants()
        before = tenants.resolve(strategy(handshake, self.claims))
        if tenants.resolve(strategy(handshake, claims)) != before:
            raise Refused(CloseCode.FORBIDDEN, MISMATCH)

    def _is_suspended(self) -> bool:
        """Return whether the tenant was suspended, or removed, since the handshake."""
        if self.tenant is None or not _has_tenancy():
            return False
        return not get_tenants().is_serving(tenant_id(self.tenant))


def _grace() -> float:
    """Return for how many seconds a connection may stay when its claims have ended."""
    settings = get_settings()
    leeway = 0 if settings.JWT is None else settings.JWT.leeway
    return leeway + settings.TOKEN_GRACE


def _has_tenancy() -> bool:
    return get_settings().TENANT_STRATEGY is not None
