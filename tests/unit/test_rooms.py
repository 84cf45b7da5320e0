"""The mapping from rooms and tenants to Channels groups."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pytest
from channels.layers import BaseChannelLayer
from hypothesis import assume, given
from hypothesis import strategies as st

from arcly_channels.exceptions import InvalidRoom
from arcly_channels.rooms import group_name, lobby_name

VALID = re.compile(r"(?!arcly\.)[a-zA-Z0-9\-_.]{1,99}", re.ASCII)


@dataclass(frozen=True)
class Tenant:
    id: str


# Few letters, so that names which look alike are found often; then, names that are groups already.
spellings = st.text(alphabet="aA0.-_5f!é\n\ud800", min_size=1, max_size=130)
tenants = st.none() | spellings
spelt = st.builds(group_name, spellings, tenants) | st.builds(lobby_name, tenants)
rooms = spellings | st.text(min_size=1, max_size=100) | spelt
addresses = st.tuples(rooms, tenants | spelt)
namespaces = tenants


@given(room=st.from_regex(VALID, fullmatch=True))
def test_room_with_a_valid_name_is_the_group_of_that_name(room: str) -> None:
    assert group_name(room) == room


@given(address=addresses)
def test_group_name_is_always_valid_for_channels(address: tuple[str, str | None]) -> None:
    assert BaseChannelLayer().require_valid_group_name(group_name(*address))


@given(one=addresses, other=addresses)
def test_different_addresses_have_different_groups(
    one: tuple[str, str | None], other: tuple[str, str | None]
) -> None:
    assume(one != other)
    assert group_name(*one) != group_name(*other)


@given(one=st.tuples(addresses, namespaces), other=st.tuples(addresses, namespaces))
def test_different_namespaces_have_different_groups(one: Any, other: Any) -> None:
    assume(one != other)
    groups = {group_name(*address, namespace=namespace) for address, namespace in (one, other)}
    assert len(groups) == 2
    assert all(BaseChannelLayer().require_valid_group_name(group) for group in groups)


@given(group=st.builds(group_name, rooms, spellings), tenant=tenants)
def test_no_room_is_named_into_the_group_of_a_tenant(group: str, tenant: str | None) -> None:
    assert group_name(group, tenant) != group


@given(address=addresses, tenant=tenants)
def test_no_room_is_a_lobby(address: tuple[str, str | None], tenant: str | None) -> None:
    assert group_name(*address) != lobby_name(tenant)


@given(one=tenants, other=tenants)
def test_different_tenants_have_different_lobbies(one: str | None, other: str | None) -> None:
    assume(one != other)
    assert lobby_name(one) != lobby_name(other)


@given(tenant=tenants)
def test_lobby_is_always_a_valid_group(tenant: str | None) -> None:
    assert BaseChannelLayer().require_valid_group_name(lobby_name(tenant))


@pytest.mark.parametrize("room", ["arcly.x", "a b", "été", "a\n", "١٢", "a" * 100, "\ud800"])
def test_room_whose_name_is_no_plain_group_is_escaped(room: str) -> None:
    assert group_name(room).startswith("arcly.r.")


def test_room_with_a_short_special_name_stays_readable() -> None:
    assert group_name("a b") == "arcly.r.a_20b"


def test_room_of_a_tenant_shows_both() -> None:
    assert group_name("chat", "acme").startswith("arcly.t.acme.chat.")


def test_tenant_is_its_id() -> None:
    assert group_name("chat", Tenant("acme")) == group_name("chat", "acme")


def test_longest_plain_name_is_kept() -> None:
    assert group_name("a" * 99) == "a" * 99


def test_longest_room_is_taken() -> None:
    assert len(group_name("é" * 200, "t" * 300)) < 100


def test_room_of_too_many_bytes_is_refused() -> None:
    assert group_name("😀" * 100)
    with pytest.raises(InvalidRoom, match="at most 400 bytes"):
        group_name("😀" * 101)


def test_room_of_a_namespace_shows_both() -> None:
    assert group_name("chat", namespace="staff").startswith("arcly.ns.staff.chat.")
    assert group_name("chat", "acme", namespace="staff").startswith("arcly.nst.staff.acme.chat.")


@pytest.mark.parametrize("namespace", ["", 1, b"staff"])
def test_namespace_that_is_no_string_is_refused(namespace: Any) -> None:
    with pytest.raises(TypeError, match="a namespace of rooms is a non-empty string"):
        group_name("room", namespace=namespace)


@pytest.mark.parametrize("room", ["", "a" * 201])
def test_room_of_a_bad_length_is_refused(room: str) -> None:
    with pytest.raises(InvalidRoom, match="1 to 200 characters"):
        group_name(room)


@pytest.mark.parametrize("room", [None, 1, b"room", ["room"]])
def test_room_that_is_no_string_is_refused(room: Any) -> None:
    with pytest.raises(ValueError, match="a room is a string"):
        group_name(room)


@pytest.mark.parametrize("tenant", ["", 1, b"acme", object(), Tenant("")])
def test_tenant_without_a_string_for_an_id_is_refused(tenant: Any) -> None:
    with pytest.raises(TypeError, match="a tenant is a non-empty string"):
        group_name("room", tenant)
