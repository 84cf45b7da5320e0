"""No room name leads from one tenant to another, and no made-up group name leads to any."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from arcly_channels.rooms import group_name, lobby_name, token_group, user_group

TEXT = st.text(min_size=1, max_size=100)  # Of 400 bytes at most.
ID = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=100)
TENANT = st.none() | ID
VALID = re.compile(r"[a-zA-Z0-9\-_.]{1,99}", re.ASCII)


@given(TEXT, TENANT, TEXT, TENANT)
@example("a", "b.c", "c.a", "b")
@example("arcly.lobby", None, "x", "acme")
def test_two_rooms_share_a_group_only_when_they_are_one(
    room: str, tenant: str | None, other_room: str, other_tenant: str | None
) -> None:
    is_same = (room, tenant) == (other_room, other_tenant)
    assert (group_name(room, tenant) == group_name(other_room, other_tenant)) is is_same


@given(TEXT, TENANT, TENANT)
def test_a_room_is_no_lobby_user_or_token(room: str, tenant: str | None, other: str | None) -> None:
    reserved = {lobby_name(other), lobby_name(tenant), user_group(room), token_group(room)}
    assert group_name(room, tenant) not in reserved


@given(TEXT, ID, TENANT)
def test_the_group_of_a_room_given_as_a_room_is_another_group(
    room: str, tenant: str, other: str | None
) -> None:
    group = group_name(room, tenant)
    assert group_name(group, other) != group
    assert group_name(group_name(group, other), other) != group


@given(TEXT, TENANT)
def test_every_group_is_valid_for_channels(room: str, tenant: str | None) -> None:
    names = group_name(room, tenant), lobby_name(tenant), user_group(room), token_group(room)
    assert all(VALID.fullmatch(name) for name in names)


def test_a_seal_takes_the_secret_of_the_project(settings: Any) -> None:
    def names() -> set[str]:
        return {
            group_name("r", "acme"), group_name("r" * 200, "acme"), lobby_name(),
            lobby_name("acme"), user_group("ann"), token_group("1"),
            group_name("r", namespace="n"), group_name("r", "acme", namespace="n"),
        }  # fmt: skip

    settings.SECRET_KEY = "one"
    before = names()
    settings.SECRET_KEY = "two"
    assert not before & names()
    settings.SECRET_KEY = "one"
    assert before == names()
