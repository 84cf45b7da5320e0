"""Room names, and the one mapping from a room (and its tenant) to a Channels group.

A group of a tenant starts with `arcly.`, and no room maps to such a group unless its tenant is the
same: a room whose own name starts with `arcly.` is escaped like any other special name.

Such a group, and every other that only this package may name, also ends in a seal that takes the
project's SECRET_KEY to make. So a group name that a client made up never is one of them, should
careless code pass it to `group_add` or `group_send` as it came.
"""

from __future__ import annotations

import hashlib
import re
from typing import Protocol

from arcly_channels.conf.settings import group_key
from arcly_channels.exceptions import InvalidRoom

MAX_ROOM_LENGTH = 200
"""In characters."""

MAX_ROOM_BYTES = 400
"""In bytes of UTF-8: each that is no plain letter costs time."""

_RESERVED = "arcly."
_NO_ROOMS = ("arcly.lobby.", "arcly.user.", "arcly.token.")
_MAX_GROUP_LENGTH = 99  # Channels wants group names shorter than 100 characters.
_SEAL_LENGTH = 20  # Hexadecimal digits: 80 bits, to be guessed over the network.

# Stricter than Channels' own pattern, which lets Unicode digits and a final newline through.
_GROUP_NAME = re.compile(r"[a-zA-Z0-9\-_.]{1,99}", re.ASCII)
_SPECIAL = re.compile(rb"[^a-zA-Z0-9\-]")


class HasId(Protocol):
    """A tenant given as an object: its `id` is what tells it from the others."""

    @property
    def id(self) -> str: ...


TenantLike = str | HasId


def group_name(room: str, tenant: TenantLike | None = None, *, namespace: str | None = None) -> str:
    """Return the Channels group that `room` of `tenant` is, in a gateway's `room_namespace`.

    Without tenant and namespace it is the room's own name whenever that is a valid group name
    outside `arcly.`, so `channel_layer.group_send(room, …)` reaches the room. Everything else is
    escaped reversibly, or hashed where the escaped form is too long. Two different addresses never
    share a group. Raises `InvalidRoom` (a `ValueError`) for a bad room and `TypeError` for a bad
    tenant or namespace.
    """
    check_room(room)
    if namespace is not None:
        owner = () if tenant is None else (tenant_id(tenant),)
        return _sealed(
            "ns" if tenant is None else "nst", checked_namespace(namespace), *owner, room
        )
    if tenant is not None:
        return _sealed("t", tenant_id(tenant), room)
    if _GROUP_NAME.fullmatch(room) and not room.startswith(_RESERVED):
        return room
    return _encoded("r", room)


def lobby_name(tenant: TenantLike | None = None) -> str:
    """Return the group that every gateway client of `tenant` is in, which `broadcast` addresses."""
    return _sealed("lobby") if tenant is None else _sealed("lobby", tenant_id(tenant))


def user_group(subject: str, tenant: TenantLike | None = None) -> str:
    """Return the group of the connections whose claims have this `sub`; with `tenant`, in it."""
    return _sealed("user", subject, *([] if tenant is None else [tenant_id(tenant)]))


def token_group(id: str) -> str:
    """Return the group of the connections that ever used the token of this `jti`."""
    return _sealed("token", id)


def is_room(group: str) -> bool:
    """Return whether a group is one that clients join, and not one through which they are reached.

    So is any group of Channels that no room maps to.
    """
    return not group.startswith(_NO_ROOMS)


def check_room(room: object) -> None:
    """Raise `InvalidRoom` unless `room` is a string, not empty, that is within both bounds."""
    if (
        not isinstance(room, str)
        or not 1 <= len(room) <= MAX_ROOM_LENGTH
        or len(_bytes(room)) > MAX_ROOM_BYTES
    ):
        raise InvalidRoom(
            f"a room is a string of 1 to {MAX_ROOM_LENGTH} characters"
            f" and at most {MAX_ROOM_BYTES} bytes"
        )


def checked_namespace(namespace: object) -> str:
    """Return a namespace of rooms; raise `TypeError` for what is none."""
    if not isinstance(namespace, str) or not namespace:
        raise TypeError(f"a namespace of rooms is a non-empty string, not {namespace!r}")
    return namespace


def tenant_id(tenant: TenantLike) -> str:
    """Return the id of a tenant given as its id or as an object that has one."""
    identity = tenant if isinstance(tenant, str) else getattr(tenant, "id", None)
    if not isinstance(identity, str) or not identity:
        raise TypeError(f"a tenant is a non-empty string or has one as its id, not {tenant!r}")
    return identity


def _sealed(kind: str, *parts: str) -> str:
    """Return the escaped parts and their seal; the seal alone where that is too long."""
    seal = hashlib.blake2b(_joined(kind, *parts), digest_size=32, key=group_key()).hexdigest()
    name = f"{_escaped(kind, *parts)}.{seal[:_SEAL_LENGTH]}"
    # No escaped part is "_sealed": the "_" would be followed by two hexadecimal digits.
    return name if len(name) <= _MAX_GROUP_LENGTH else f"{_RESERVED}{kind}._sealed.{seal}"


def _encoded(kind: str, *parts: str) -> str:
    """Return the escaped parts; a digest of them where that is too long."""
    name = _escaped(kind, *parts)
    if len(name) <= _MAX_GROUP_LENGTH:
        return name
    # No escaped part is "_hash", for the same reason.
    return f"{_RESERVED}{kind}._hash.{hashlib.sha256(_joined(*parts)).hexdigest()}"


def _escaped(kind: str, *parts: str) -> str:
    """Join the escaped parts with dots, which no escaped part contains.

    Where that is too long to be used, it is cut somewhere: escaping takes its time.
    """
    escaped = [
        _SPECIAL.sub(_escape, _bytes(part)[: _MAX_GROUP_LENGTH + 1]).decode("ascii")
        for part in parts
    ]
    return ".".join([_RESERVED + kind, *escaped])


def _escape(special: re.Match[bytes]) -> bytes:
    return b"_" + special[0].hex().encode()


def _joined(*parts: str) -> bytes:
    """Join the parts so that no other parts give the same bytes."""
    return b"".join(b"%d:%b" % (len(raw), raw) for raw in map(_bytes, parts))


def _bytes(part: str) -> bytes:
    return part.encode("utf-8", "surrogatepass")
