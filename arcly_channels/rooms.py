"""Room names, and the one mapping from a room (and its tenant) to a Channels group.

A group of a tenant starts with `arcly.`, and no room maps to such a group unless its tenant is the
same: a room whose own name starts with `arcly.` is escaped like any other special name.
"""

from __future__ import annotations

import hashlib
import re
from typing import Protocol

from arcly_channels.exceptions import InvalidRoom

MAX_ROOM_LENGTH = 200
"""In characters."""

_RESERVED = "arcly."
_MAX_GROUP_LENGTH = 99  # Channels wants group names shorter than 100 characters.

# Stricter than Channels' own pattern, which lets Unicode digits and a final newline through.
_GROUP_NAME = re.compile(r"[a-zA-Z0-9\-_.]{1,99}", re.ASCII)
_SPECIAL = re.compile(rb"[^a-zA-Z0-9\-]")


class HasId(Protocol):
    """A tenant given as an object: its `id` is what tells it from the others."""

    @property
    def id(self) -> str: ...


Tenant = str | HasId


def group_name(room: str, tenant: Tenant | None = None) -> str:
    """Return the Channels group that `room` of `tenant` is.

    Without a tenant it is the room's own name whenever that is a valid group name outside
    `arcly.`, so `channel_layer.group_send(room, …)` reaches the room. Everything else is escaped
    reversibly, or hashed where the escaped form is too long. Two different pairs never share a
    group. Raises `InvalidRoom` (a `ValueError`) for a bad room and `TypeError` for a bad tenant.
    """
    check_room(room)
    if tenant is not None:
        return _encoded("t", tenant_id(tenant), room)
    if _GROUP_NAME.fullmatch(room) and not room.startswith(_RESERVED):
        return room
    return _encoded("r", room)


def lobby_name(tenant: Tenant | None = None) -> str:
    """Return the group that every gateway client of `tenant` is in, which `broadcast` addresses."""
    return _encoded("lobby") if tenant is None else _encoded("lobby", tenant_id(tenant))


def check_room(room: object) -> None:
    """Raise `InvalidRoom` unless `room` is a string of 1 to `MAX_ROOM_LENGTH` characters."""
    if not isinstance(room, str) or not 1 <= len(room) <= MAX_ROOM_LENGTH:
        raise InvalidRoom(f"a room is a string of 1 to {MAX_ROOM_LENGTH} characters")


def tenant_id(tenant: Tenant) -> str:
    """Return the id of a tenant given as its id or as an object that has one."""
    identity = tenant if isinstance(tenant, str) else getattr(tenant, "id", None)
    if not isinstance(identity, str) or not identity:
        raise TypeError(f"a tenant is a non-empty string or has one as its id, not {tenant!r}")
    return identity


def _encoded(kind: str, *parts: str) -> str:
    """Join the escaped parts with dots, which no escaped part contains; hash what is too long."""
    raw = [part.encode("utf-8", "surrogatepass") for part in parts]
    escaped = [
        _SPECIAL.sub(lambda special: b"_" + special[0].hex().encode(), part).decode("ascii")
        for part in raw
    ]
    name = ".".join([_RESERVED + kind, *escaped])
    if len(name) <= _MAX_GROUP_LENGTH:
        return name
    digest = hashlib.sha256(b"".join(b"%d:%b" % (len(part), part) for part in raw)).hexdigest()
    # The escaped form has no part named "hash" in second place: "_" is needed to spell it here.
    return f"{_RESERVED}{kind}._hash.{digest}"
