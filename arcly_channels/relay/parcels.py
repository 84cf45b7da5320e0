"""The bytes that parcels are between processes.

`version flags kind node sequence time content`, in network order. The version and the flags are
never encrypted. Processes of two releases share a server while one is rolled out, so what has
another version, or is of an unknown kind, is refused with a word for the count, and harms nobody.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgpack

from arcly_channels.relay.contract import Kind
from arcly_channels.wire.envelope import Frame
from arcly_channels.wire.portable import check_portable

VERSION = 1

_TEXT, _ENCRYPTED = 1, 2
"""Flags: the frame is one of text; all that follows is encrypted."""

_START = struct.Struct("!BB")  # Version and flags.
_HEAD = struct.Struct("!BQQd")  # Kind, node, sequence of the node, Unix time.
_PLAIN = struct.Struct("!BBBQQd")
"""Both, where nothing is encrypted."""

_KINDS = {kind.value: kind for kind in Kind}  # A third of the time of `Kind(…)`.
_TAG = struct.Struct("!H")
"""How many bytes of a frame's content are its tag."""

_OF_FRAMES = (Kind.FRAME, Kind.EVENT)


class Garbled(Exception):
    """What has arrived is no parcel for this process; its text is a word for the count."""


class Envelope(NamedTuple):
    """A parcel whose content was not looked at yet."""

    kind: Kind
    flags: int
    node: int
    sequence: int
    sent_at: float
    content: bytes


class Sealer:
    """Makes bytes of parcels and reads them, encrypted where there are `keys`.

    `keys` are strings or bytes: the first encrypts, and each decrypts, so that one after the other
    can be replaced. They are used as channels_redis uses them, by the Fernet specification.
    """

    def __init__(self, keys: Sequence[str | bytes] = ()) -> None:
        self._cipher = _cipher(keys) if keys else None

    def write(self, kind: Kind, body: Any) -> tuple[int, bytes]:
        """Return flags and content for a body.

        Raises `UnportableMessage` for a message that no other process could read.
        """
        if kind in _OF_FRAMES:
            frame: Frame = body
            payload = frame.payload
            return _TEXT if frame.is_text else 0, _TAG.pack(len(frame.tag)) + frame.tag + payload
        try:
            return 0, bytes(msgpack.packb(body))
        except (TypeError, ValueError, OverflowError):
            check_portable(body[1] if kind is Kind.SEND else body)  # It knows where, and why.
            raise

    def seal(
        self, kind: Kind, flags: int, content: bytes, *, node: int, sequence: int, at: float
    ) -> bytes:
        """Return the bytes of a parcel."""
        if self._cipher is None:
            return _PLAIN.pack(VERSION, flags, kind, node, sequence, at) + content
        sealed = _HEAD.pack(kind, node, sequence, at) + content
        encrypted: bytes = self._cipher.encrypt(sealed)
        return _START.pack(VERSION, flags | _ENCRYPTED) + encrypted

    def open(self, data: bytes) -> Envelope:
        """Return what a parcel says on its outside; raise `Garbled`."""
        if len(data) < _START.size:
            raise Garbled("garbage")
        version, flags = _START.unpack_from(data)
        if version != VERSION:
            raise Garbled("version")
        sealed = data[_START.size :]
        if bool(flags & _ENCRYPTED) is not (self._cipher is not None):
            raise Garbled("encryption")  # A plain one is from somebody who has no key.
        if self._cipher is not None:
            sealed = _decrypted(self._cipher, sealed)
        try:
            kind, node, sequence, at = _HEAD.unpack_from(sealed)
        except struct.error:
            raise Garbled("garbage") from None
        known = _KINDS.get(kind)
        if known is None:
            raise Garbled("kind")
        return Envelope(known, flags, node, sequence, at, sealed[_HEAD.size :])

    def read(self, envelope: Envelope) -> Any:
        """Return the body of a parcel; raise `Garbled`."""
        content = envelope.content
        try:
            if envelope.kind not in _OF_FRAMES:
                body = msgpack.unpackb(content, strict_map_key=False)
                if envelope.kind is Kind.MESSAGE and not isinstance(body, dict):
                    raise TypeError("a message is a dict")
                return body
            (tag_size,) = _TAG.unpack_from(content)
            start = _TAG.size + tag_size
            tag, is_text = content[_TAG.size : start], bool(envelope.flags & _TEXT)
            return Frame(content[start:], is_text=is_text, tag=tag)
        except Exception as error:  # Whatever msgpack has to say of garbage.
            raise Garbled("garbage") from error


def _decrypted(cipher: Any, sealed: bytes) -> bytes:
    try:
        decrypted: bytes = cipher.decrypt(sealed)
    except Exception as error:  # It has no error that all versions share.
        raise Garbled("encryption") from error
    return decrypted


def _cipher(keys: Sequence[str | bytes]) -> Any:
    from cryptography.fernet import Fernet, MultiFernet

    return MultiFernet([Fernet(_fernet_key(key)) for key in keys])


def _fernet_key(key: str | bytes) -> bytes:
    raw = key.encode() if isinstance(key, str) else key
    return base64.urlsafe_b64encode(hashlib.sha256(raw).digest())
