"""Tenants: which there are, which are suspended, and which one a request is for."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import inspect
import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from asgiref.sync import async_to_sync
from channels.db import database_sync_to_async
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from arcly_channels.close_codes import CloseCode
from arcly_channels.conf import settings as conf
from arcly_channels.conf.identity import TENANT_ID_HINT, is_tenant_id
from arcly_channels.fork import ForkSafeLock
from arcly_channels.identity.claims import Claims
from arcly_channels.layers import news
from arcly_channels.layers.configured import close_group_now, tell_all
from arcly_channels.reasons import SUSPENDED
from arcly_channels.rooms import lobby_name


@dataclasses.dataclass(frozen=True)
class Tenant:
    """One customer of a project that serves several; immutable.

    Its `id` is what tells it from the others: 1 to 100 printable ASCII characters without spaces
    and commas, as a header could carry it, or else `ValueError`.
    """

    id: str
    name: str = ""
    suspended: bool = False

    def __post_init__(self) -> None:
        if not is_tenant_id(self.id):
            raise ValueError(f"{self.id!r:.120} is no id of a tenant: {TENANT_ID_HINT}")


Source = Callable[[], Any]
"""Returns the tenants, as `Tenant`s, ids or dicts of a tenant's fields; sync or async."""

_Snapshot = Mapping[str, Tenant]


class TenantRegistry:
    """The tenants of a process. May be used from any thread and any event loop.

    `resolve` reads one immutable snapshot and takes no lock; `upsert`, `suspend` and `resume` put
    a new one in its place, so each acts from the next request on. `fallback` is the id of the
    tenant for requests that name no known one.

    With a `source`, the callable in `TENANTS`, what it returned is used for at most
    `cache_seconds`, and is the truth: a change made here lasts until the source is asked again, so
    make it there first. When the source fails, so does the request that asked it, and no older
    answer is used.

    `on_changed` is called with a tenant that was changed here, so that other processes know, and
    `on_suspended` with the id of one after it stopped being served.
    """

    def __init__(
        self,
        tenants: Iterable[Any] = (),
        *,
        fallback: str | None = None,
        source: Source | None = None,
        cache_seconds: float = 60,
        on_changed: Callable[[Tenant], object] = lambda tenant: None,
        on_suspended: Callable[[str], object] = lambda id: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._snapshot: _Snapshot = _by_id(tenants)
        self._fallback = fallback
        self._source = source
        self._cache_seconds = cache_seconds
        self._on_changed = on_changed
        self._on_suspended = on_suspended
        self._clock = clock
        self._lock = ForkSafeLock()  # For those who change the snapshot.
        self._version = 0
        self._answered_at = 0  # The version that the answer in use made, …
        self._changed_at: dict[str, int] = {}  # … and those that the changes since then made.
        self._fresh_until = -math.inf if source is not None else math.inf
        self._source_lock = ForkSafeLock()  # So that one thread at a time asks the source, …
        # … and one task of an event loop.
        self._loads: dict[asyncio.AbstractEventLoop, asyncio.Task[None]] = {}

    # Reading

    def resolve(self, id: str | None) -> Tenant | None:
        """Return the tenant that a request for `id` gets, from what is known now.

        A suspended tenant is None, never the fallback; nor does a suspended fallback serve anyone.
        """
        tenants = self._snapshot
        tenant = None if id is None else tenants.get(id)
        if tenant is None and self._fallback is not None:
            tenant = tenants.get(self._fallback)
        return None if tenant is None or tenant.suspended else tenant

    def get(self, id: str) -> Tenant | None:
        """Return the tenant with this id, suspended or not, or None."""
        return self._snapshot.get(id)

    def is_serving(self, id: str) -> bool:
        """Return whether the tenant with this id is known and not suspended."""
        tenant = self._snapshot.get(id)
        return tenant is not None and not tenant.suspended

    # Changing

    def upsert(self, tenant: Tenant | str, *, name: str = "", suspended: bool = False) -> Tenant:
        """Add a tenant, or replace the one with its id, and return it.

        `tenant` is a `Tenant`, or the id of one.
        """
        if isinstance(tenant, str):
            tenant = Tenant(tenant, name, suspended)
        self.learn(tenant)
        self._spread(tenant)
        return tenant

    def suspend(self, id: str) -> bool:
        """Serve a tenant no longer, and close its sockets with 4403; return whether it is known."""
        return self._change(id, suspended=True)

    def resume(self, id: str) -> bool:
        """Serve a suspended tenant again; return whether it is known."""
        return self._change(id, suspended=False)

    def learn(self, tenant: Tenant) -> None:
        """Take over what another process has changed, and has told everybody."""
        with self._lock:
            self._put(tenant)

    # The source

    def refresh(self) -> None:
        """Ask the source, if what it last returned is too old. For code that is not async."""
        if self._is_fresh():
            return
        with self._source_lock:
            if self._source is not None and not self._is_fresh():
                is_async = inspect.iscoroutinefunction(self._source)
                asked_at, version = self._clock(), self._version
                found = (async_to_sync(self._source) if is_async else self._source)()
                self._take(found, asked_at, version)

    async def arefresh(self) -> None:
        """Do what `refresh` does, in async code. Requests that come meanwhile share the answer."""
        if self._is_fresh():
            return
        loop = asyncio.get_running_loop()
        load = self._loads.get(loop)
        if load is None or load.done():
            load = self._loads[loop] = loop.create_task(self._load())
            load.add_done_callback(lambda _: self._loads.pop(loop, None))
        await asyncio.shield(load)  # One client that hangs up does not stop it for the others.

    async def _load(self) -> None:
        if self._source is not None:
            is_async = inspect.iscoroutinefunction(self._source)
            asked_at, version = self._clock(), self._version
            # A queryset is read in the thread too, since the event loop must not.
            found = await (self._source if is_async else database_sync_to_async(self._ask))()
            self._take(found, asked_at, version)

    # Inside

    def _ask(self) -> list[Any]:
        """Return what a plain source returns, read to its end."""
        return [] if self._source is None else list(self._source())

    def _is_fresh(self) -> bool:
        return self._clock() < self._fresh_until

    def _take(self, found: Iterable[Any], asked_at: float, version: int) -> None:
        """Use what the source returned, and note who is served no longer."""
        tenants = _by_id(found)
        with self._lock:
            if version < self._answered_at:
                return  # Another thread was quicker.
            # The source may not know of a change that was made while it was asked: that change
            # holds, and the next request asks again.
            changed = [id for id, at in self._changed_at.items() if at > version]
            tenants.update({id: self._snapshot[id] for id in changed})
            gone = [
                tenant.id
                for tenant in self._snapshot.values()
                if not tenant.suspended and not _is_serving(tenants, tenant.id)
            ]
            self._swap(tenants)
            self._answered_at = self._version
            self._changed_at = dict.fromkeys(changed, self._version)
            if not changed:
                self._fresh_until = asked_at + self._cache_seconds
        self._tell(gone)

    def _tell(self, gone: list[str]) -> None:
        """Tell of every tenant, also when telling of one before it fails."""
        with contextlib.ExitStack() as stack:
            for id in reversed(gone):
                stack.callback(self._on_suspended, id)

    def _change(self, id: str, *, suspended: bool) -> bool:
        with self._lock:
            tenant = self._snapshot.get(id)
            if tenant is None:
                return False
            tenant = dataclasses.replace(tenant, suspended=suspended)
            self._put(tenant)
        self._spread(tenant)
        return True

    def _spread(self, tenant: Tenant) -> None:
        """Tell of a change; the sockets of a suspended tenant are closed even if that fails."""
        try:
            self._on_changed(tenant)
        finally:
            if tenant.suspended:
                self._on_suspended(tenant.id)

    def _put(self, tenant: Tenant) -> None:
        self._swap({**self._snapshot, tenant.id: tenant})
        self._changed_at[tenant.id] = self._version

    def _swap(self, tenants: _Snapshot) -> None:
        self._snapshot = tenants
        self._version += 1


def is_mismatched(claims: Claims | None, tenant: Any) -> bool:
    """Return whether the token behind `claims` is for a tenant other than `tenant`.

    A token without the claim is for any. One that has it is not for a request without a tenant.
    """
    named = None if claims is None else claims.get("tenant")
    return named is not None and named != getattr(tenant, "id", tenant)


def get_tenants() -> TenantRegistry:
    """Return the `TenantRegistry` of this process, made of the settings when first asked for."""
    return _registry or _make_registry()


_registry: TenantRegistry | None = None
_making = ForkSafeLock()


def _make_registry() -> TenantRegistry:
    """Make the one registry: two threads with one each would lose what is changed in the other."""
    global _registry
    with _making:
        if _registry is None:
            _registry = _registry_of_settings()
        return _registry


def _registry_of_settings() -> TenantRegistry:
    settings = conf.get_settings()
    tenants = settings.TENANTS
    source = import_string(tenants) if isinstance(tenants, str) else tenants
    return TenantRegistry(
        () if callable(source) else source,
        fallback=settings.TENANT_FALLBACK,
        source=source if callable(source) else None,
        cache_seconds=settings.TENANT_CACHE_SECONDS,
        on_changed=lambda tenant: tell_all(_NEWS, dataclasses.asdict(tenant)),
        on_suspended=_close_sockets,
    )


_NEWS = "tenant"
"""The topic under which processes tell each other of a tenant that was changed."""


def _learn(tenant: Mapping[str, Any]) -> None:
    get_tenants().learn(Tenant(**tenant))


news.listen(_NEWS, _learn)


def _close_sockets(id: str) -> None:
    close_group_now(lobby_name(id), CloseCode.FORBIDDEN, SUSPENDED)


def _by_id(tenants: Iterable[Any]) -> dict[str, Tenant]:
    return {tenant.id: tenant for tenant in map(_tenant, tenants)}


def _tenant(value: Any) -> Tenant:
    if isinstance(value, Tenant):
        return value
    return Tenant(**value) if isinstance(value, Mapping) else Tenant(value)


def _is_serving(tenants: _Snapshot, id: str) -> bool:
    tenant = tenants.get(id)
    return tenant is not None and not tenant.suspended


def _forget(*, setting: str, **_: object) -> None:
    global _registry
    if setting == conf.NAME:
        _registry = None


setting_changed.connect(_forget, dispatch_uid="arcly_channels.identity.tenancy")
