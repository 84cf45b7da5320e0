"""Claims: what is known about who is behind a connection, for how long, and what it allows."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any

from arcly_channels.rooms import TenantLike, token_group, user_group

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


class Deadline:
    """The moment at which claims end. The earlier of two clocks decides.

    One is the clock of the wall, which a token's `exp` is about. The other is one that nobody can
    set, on which that moment is marked when the claims come. So setting the wall's clock back
    gives no token a longer life.
    """

    __slots__ = ("_clocks",)

    def __init__(self, *clocks: tuple[Callable[[], float], float]) -> None:
        self._clocks = clocks

    @classmethod
    def of(
        cls,
        claims: Claims | None,
        *,
        grace: float = 0,
        wall: Callable[[], float] | None = None,
        monotonic: Callable[[], float] | None = None,
    ) -> Deadline | None:
        """Return the end of claims that have just come, `grace` seconds after their `exp`.

        None where they do not end.
        """
        expiry = expiry_of(claims)
        if expiry is None:
            return None
        end, wall, monotonic = expiry + grace, wall or time.time, monotonic or time.monotonic
        return cls((wall, end), (monotonic, monotonic() + end - wall()))

    def time_left(self) -> float:
        """Return how many seconds are left; 0 or less means that the claims have ended."""
        return min(end - clock() for clock, end in self._clocks)


def groups_of(claims: Claims | None, tenant: TenantLike | None) -> list[str]:
    """Return the groups by which somebody is found who has these claims, in this tenant."""
    subject, token = (claims or {}).get("sub"), (claims or {}).get("jti")
    groups = []
    if subject not in (None, ""):
        groups.append(user_group(str(subject)))
        if tenant is not None:
            groups.append(user_group(str(subject), tenant))
    return groups if token in (None, "") else [*groups, token_group(str(token))]


def _frozen(value: Any) -> Any:
    if isinstance(value, Mapping):
        return read_only(value)
    if isinstance(value, (list, tuple)):
        return tuple(_frozen(each) for each in value)
    return value


@dataclasses.dataclass(frozen=True)
class Access:
    """Asks for one of `roles`, if there are any, and for all of `perms`.

    A permission is `resource:action`; in a granted one, `*` stands for anything.
    """

    roles: frozenset[str] = frozenset()
    perms: frozenset[str] = frozenset()

    @classmethod
    def of(cls, roles: object, perms: object, *, where: str) -> Access:
        """Make one of what a developer wrote `where`: a string or several; else `TypeError`."""
        access = cls(_names(roles, f"{where}: roles"), _names(perms, f"{where}: perms"))
        for perm in access.perms:
            if perm.count(":") != 1 or not all(perm.split(":")):
                raise TypeError(f'{where}: a permission is "resource:action", not {perm!r}')
        return access

    def __bool__(self) -> bool:
        return bool(self.roles or self.perms)

    def allows(self, claims: Claims | None) -> bool:
        """Return whether claims fulfil this. Of no claims, only asking for nothing does."""
        if claims is None:
            return not self
        if self.roles and self.roles.isdisjoint(_strings(claims.get("role"))):
            return False
        granted = _strings(claims.get("perms"))
        return all(any(_covers(each, perm) for each in granted) for perm in self.perms)


def _covers(granted: str, perm: str) -> bool:
    """Return whether a granted permission, in which `*` stands for anything, covers `perm`."""
    if granted in ("*", perm):
        return True
    resource, colon, action = granted.partition(":")
    wanted_resource, _, wanted_action = perm.partition(":")
    return bool(colon) and resource in ("*", wanted_resource) and action in ("*", wanted_action)


def _strings(value: Any) -> tuple[str, ...]:
    """Return the strings in a claim, which is one or a list of them; nothing in any other."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, (list, tuple)):
        return tuple(each for each in value if isinstance(each, str))
    return ()


def _names(value: object, what: str) -> frozenset[str]:
    names = (value,) if isinstance(value, str) else value
    if not isinstance(names, Collection) or not all(isinstance(n, str) and n for n in names):
        raise TypeError(f"{what} are a string or several, not {value!r}")
    return frozenset(names)
