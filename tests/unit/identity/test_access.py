"""What claims allow."""

from __future__ import annotations

from typing import Any

import pytest

from arcly_channels.identity.claims import Access


def access(roles: object = (), perms: object = ()) -> Access:
    return Access.of(roles, perms, where="here")


@pytest.mark.parametrize(
    ("granted", "wanted", "is_allowed"),
    [
        (["orders:read"], "orders:read", True),
        (["orders:*"], "orders:read", True),
        (["*:read"], "orders:read", True),
        (["*:*"], "orders:read", True),
        (["*"], "orders:read", True),
        (("users:read", "orders:read"), "orders:read", True),
        ("orders:read", "orders:read", True),
        (["orders:write"], "orders:read", False),
        (["orders"], "orders:read", False),
        (["orders:"], "orders:read", False),
        (["order*:read"], "orders:read", False),
        (["orders:read:own"], "orders:read", False),
        (["orders:read"], "orders:*", False),
        (["orders:*"], "orders:*", True),
        ([], "orders:read", False),
        (None, "orders:read", False),
        ([1, None, {}], "orders:read", False),
        ({"orders:read": True}, "orders:read", False),
        (True, "orders:read", False),
    ],
)
def test_permissions(granted: Any, wanted: str, is_allowed: bool) -> None:
    assert access(perms=wanted).allows({"sub": "ann", "perms": granted}) is is_allowed


def test_all_permissions_are_needed_and_one_role() -> None:
    both = access(roles=("admin", "staff"), perms=["a:b", "c:d"])
    assert both.allows({"role": "staff", "perms": ["a:b", "c:*"]})
    assert both.allows({"role": ["guest", "admin"], "perms": ["*"]})
    assert not both.allows({"role": "staff", "perms": ["a:b"]})
    assert not both.allows({"role": "guest", "perms": ["*"]})
    assert not both.allows({"perms": ["*"]})


def test_without_claims_only_nothing_is_allowed() -> None:
    assert access().allows(None)
    assert access().allows({})
    assert not access(roles="admin").allows(None)
    assert not access(perms="a:b").allows(None)


@pytest.mark.parametrize(
    ("roles", "perms"),
    [(1, ()), ([""], ()), ([1], ()), ((), "orders"), ((), ["a:b:c"]), ((), ":"), (None, ())],
)
def test_what_is_no_role_or_permission_is_refused(roles: Any, perms: Any) -> None:
    with pytest.raises(TypeError, match=r"^here: "):
        access(roles, perms)
