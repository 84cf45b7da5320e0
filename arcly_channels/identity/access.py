"""What claims allow: roles, and permissions of the form `resource:action` with `*`."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from typing import Any

from arcly_channels.identity.claims import Claims


@dataclasses.dataclass(frozen=True)
class Access:
    """Asks for one of `roles`, if there are any, and for all of `perms`."""

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
