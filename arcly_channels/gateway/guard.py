"""Who may come into a gateway, what they may send, and for how long they may stay."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from arcly_channels.close_codes import CloseCode
from arcly_channels.conf.settings import get_settings
from arcly_channels.exceptions import EventRefused, Refused
from arcly_channels.fanout.audience import One
from arcly_channels.gateway.subscriptions import collect_access, subscribe
from arcly_channels.identity.claims import Access, Claims, expiry_of, groups_of
from arcly_channels.identity.handshake import Handshake
from arcly_channels.identity.middleware import MISMATCH
from arcly_channels.identity.refusal import chosen_subprotocol
from arcly_channels.identity.strategies import get_strategy
from arcly_channels.identity.tenancy import get_tenants, is_mismatched
from arcly_channels.identity.verifier import get_verifier
from arcly_channels.layers.base import GatewayLayer
from arcly_channels.rooms import TenantLike, lobby_name, tenant_id
from arcly_channels.session.client import ClientHandle
from arcly_channels.wire import protocol

EXPIRED = "the token has expired"
SUSPENDED = "the tenant is suspended"

LONGEST_WAIT = 3600.0
"""Seconds until the clock is looked at again, which somebody may have set meanwhile."""


class Guard:
    """The part of a gateway that enforces identity. Its checks come before `authorize`.

    A client that is refused before its socket is accepted gets status 403, or `gateway:bye` if it
    offers `arcly.v1`: with 4401 when claims are needed and there are none, with 4403 otherwise.
    """

    require_claims: ClassVar[bool] = False
    """Whether anonymous clients are refused. Roles and permissions imply it."""
    require_tenant: ClassVar[bool | None] = None
    """Whether clients without a tenant are refused; None means as soon as there is tenancy."""
    required_roles: ClassVar[str | Collection[str]] = ()
    """The roles of which a client must have one."""
    required_perms: ClassVar[str | Collection[str]] = ()
    """The permissions, each `resource:action`, that a client must have all of."""

    scope: dict[str, Any]
    channel_layer: GatewayLayer

    _access: ClassVar[Access] = Access()
    _event_access: ClassVar[Mapping[str, Access]] = {}
    _methods: ClassVar[dict[str, str]] = {}
    _client: ClientHandle | None = None
    _expiry_timer: asyncio.TimerHandle | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._access = Access.of(cls.required_roles, cls.required_perms, where=cls.__qualname__)
        cls._event_access = collect_access(cls, cls._methods)

    @property
    def claims(self) -> Mapping[str, Any] | None:
        """What is known about who is behind the connection."""
        claims: Mapping[str, Any] | None = self.scope.get("claims")
        return claims

    @property
    def tenant(self) -> TenantLike | None:
        """The tenant this client belongs to."""
        tenant: TenantLike | None = self.scope.get("tenant")
        return tenant

    async def accept(self, subprotocol: str | None = None, headers: Any = None) -> None:
        """Accept the socket, with the subprotocol of ours that the client offers, if any."""
        chosen = subprotocol or chosen_subprotocol(self.scope)
        await super().accept(chosen, headers)  # type: ignore[misc]  # Of Channels' consumer.

    @subscribe(protocol.REFRESH)
    async def auth_refresh(self, data: Any) -> None:
        """Go on with a fresh token, `{"token": …}`: it is answered with `auth.refreshed`.

        The token must be of the same subject and tenant, and fulfil what the gateway requires.
        Otherwise the client gets an `error` event, and stays for as long as it could before.
        """
        verifier = get_verifier()
        token = data.get("token") if isinstance(data, dict) else None
        claims = verifier.verify(token) if verifier and isinstance(token, str) else None
        if claims is None:
            raise EventRefused(protocol.UNAUTHENTICATED, 'no valid token: data is {"token": "…"}')
        if self.claims is None or self.claims.get("sub") != claims.get("sub"):
            raise EventRefused(protocol.FORBIDDEN, "the token is of another subject")
        try:
            self._check_claims(claims)
            self._check_same_tenant(claims)
        except Refused as refusal:
            raise EventRefused(protocol.FORBIDDEN, refusal.reason) from None
        client = self._registered()
        await self._set_claims(client, claims)
        await client.emit(protocol.REFRESHED, {"exp": claims["exp"]})

    # For the consumer

    def _check_identity(self) -> None:
        """Raise `Refused` for a client that does not belong here.

        Raises `TypeError` for a tenant that has no usable id, while there is no socket yet.
        """
        lobby_name(self.tenant)
        if self.claims is None and (self.require_claims or self._access):
            raise Refused(CloseCode.UNAUTHENTICATED, "a valid token is needed")
        is_required = self.require_tenant
        if is_required is None:
            is_required = _has_tenancy()
        if is_required and self.tenant is None:
            raise Refused(CloseCode.FORBIDDEN, "no such tenant")
        self._check_claims(self.claims)

    def _check_meanwhile(self) -> None:
        """Raise `Refused` where the time of a client, or of its tenant, ended in `authorize`."""
        expiry = expiry_of(self.claims)
        if expiry is not None and _time_left(expiry) <= 0:
            raise Refused(CloseCode.UNAUTHENTICATED, EXPIRED)
        if self._is_suspended():
            raise Refused(CloseCode.FORBIDDEN, SUSPENDED)

    def _check_event(self, event: str) -> None:
        """Raise `EventRefused` for an event that is not for this client to send."""
        access = self._event_access.get(event)
        if access is not None and not access.allows(self.claims):
            raise EventRefused(protocol.FORBIDDEN, f"not allowed: {event}")

    async def _enter(self) -> None:
        """Join the groups through which this client is reached, and start its time."""
        client = self._registered()
        for group in (lobby_name(self.tenant), *groups_of(self.claims, self.tenant)):
            await self.channel_layer.join(client.id, group)
        self._watch_expiry()
        # Whoever suspends or removes the tenant from here on finds this client in the lobby.
        if self._is_suspended():
            self._end(CloseCode.FORBIDDEN, SUSPENDED)

    def _stop_watching(self) -> None:
        if self._expiry_timer is not None:
            self._expiry_timer.cancel()
            self._expiry_timer = None

    # Inside

    def _registered(self) -> ClientHandle:
        if self._client is None:
            raise RuntimeError("there is no client before its socket is accepted; see on_connect")
        return self._client

    def _check_claims(self, claims: Claims | None) -> None:
        if (self.tenant is not None or _has_tenancy()) and is_mismatched(claims, self.tenant):
            raise Refused(CloseCode.FORBIDDEN, MISMATCH)
        if not self._access.allows(claims):
            raise Refused(CloseCode.FORBIDDEN, "a role or a permission is missing")

    def _check_same_tenant(self, claims: Claims) -> None:
        """Raise `Refused` where the handshake would give these claims another tenant, or none."""
        strategy = get_strategy()
        if strategy is None or self.tenant is None:
            return
        # Not compared with `self.tenant`, which other middleware may have found in its own way.
        handshake, tenants = Handshake.of_scope(self.scope), get_tenants()
        before = tenants.resolve(strategy(handshake, self.claims))
        if tenants.resolve(strategy(handshake, claims)) != before:
            raise Refused(CloseCode.FORBIDDEN, MISMATCH)

    def _is_suspended(self) -> bool:
        """Return whether the tenant was suspended, or removed, since the handshake."""
        if self.tenant is None or not _has_tenancy():
            return False
        return not get_tenants().is_serving(tenant_id(self.tenant))

    async def _set_claims(self, client: ClientHandle, claims: Claims) -> None:
        joined = groups_of(claims, self.tenant)
        left = [each for each in groups_of(self.claims, self.tenant) if each not in joined]
        for group in joined:
            await self.channel_layer.join(client.id, group)
        self.scope["claims"] = client.claims = claims
        self._watch_expiry()
        for group in left:
            await self.channel_layer.leave(client.id, group)

    def _watch_expiry(self) -> None:
        """Have the socket closed when its claims end, give or take what the settings allow."""
        self._stop_watching()
        expiry = expiry_of(self.claims)
        if expiry is None:
            return
        left = _time_left(expiry)
        if left <= 0:
            self._end(CloseCode.UNAUTHENTICATED, EXPIRED)
            return
        loop = asyncio.get_running_loop()
        self._expiry_timer = loop.call_later(min(left, LONGEST_WAIT), self._watch_expiry)

    def _end(self, code: int, reason: str) -> None:
        self.channel_layer.registry.close(One(self._registered().id), code, reason)


def _time_left(expiry: float) -> float:
    """Return for how many seconds a connection may stay whose claims end at `expiry`."""
    settings = get_settings()
    leeway = 0 if settings.JWT is None else settings.JWT.leeway
    return expiry + leeway + settings.TOKEN_GRACE - time.time()


def _has_tenancy() -> bool:
    return get_settings().TENANT_STRATEGY is not None
