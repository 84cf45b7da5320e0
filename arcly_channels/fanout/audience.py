"""Whom a frame is for: everyone, a group, or one connection."""

from __future__ import annotations

from typing import NamedTuple


class Everyone(NamedTuple):
    """Every connection of the process."""


class Group(NamedTuple):
    """The connections in one group."""

    name: str


class One(NamedTuple):
    """The connection with this id."""

    id: int


Audience = Everyone | Group | One

EVERYONE = Everyone()
