"""The bytes of parcels: what is written can be read, and what cannot be read is refused."""

from __future__ import annotations

import math
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arcly_channels.exceptions import UnportableMessage
from arcly_channels.relay.contract import Kind
from arcly_channels.relay.parcels import VERSION, Envelope, Garbled, Sealer
from arcly_channels.wire.envelope import Frame

PLAIN = Sealer()
LOCKED = Sealer(["a secret"])
OF_FRAMES = {Kind.FRAME, Kind.EVENT}

numbers = st.integers(0, 2**64 - 1)
times = st.floats(0, 2**40)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
)
keys = st.text() | st.integers(-(2**63), 2**64 - 1) | st.binary()
values = st.recursive(
    scalars, lambda each: st.lists(each) | st.dictionaries(keys, each), max_leaves=20
)
kinds = st.sampled_from(sorted(set(Kind) - OF_FRAMES))


def sealed(sealer: Sealer, kind: Kind, body: Any, **given: Any) -> bytes:
    flags, content = sealer.write(kind, body)
    return sealer.seal(kind, flags, content, **{"node": 1, "sequence": 2, "at": 3.0, **given})


def opened(sealer: Sealer, data: bytes) -> tuple[Envelope, Any]:
    envelope = sealer.open(data)
    return envelope, sealer.read(envelope)


def why_garbled(sealer: Sealer, data: bytes) -> str:
    with pytest.raises(Garbled) as garbled:
        opened(sealer, data)
    return str(garbled.value)


# There and back


@given(kinds, st.dictionaries(keys, values), numbers, numbers, times)
def test_message_arrives_as_it_was_with_all_that_is_said_of_it(
    kind: Kind, body: Any, node: int, sequence: int, at: float
) -> None:
    for sealer in (PLAIN, LOCKED):
        envelope, found = opened(
            sealer, sealed(sealer, kind, body, node=node, sequence=sequence, at=at)
        )
        assert found == body
        assert (envelope.kind, envelope.node, envelope.sequence) == (kind, node, sequence)
        assert envelope.sent_at == at


@given(st.binary(), st.booleans(), st.binary(max_size=300), st.sampled_from(sorted(OF_FRAMES)))
def test_frame_arrives_as_it_was(payload: bytes, is_text: bool, tag: bytes, kind: Kind) -> None:
    for sealer in (PLAIN, LOCKED):
        _, frame = opened(sealer, sealed(sealer, kind, Frame(payload, is_text=is_text, tag=tag)))
        assert (frame.payload, frame.is_text, frame.tag) == (payload, is_text, tag)
        assert frame.wire == Frame(payload, is_text=is_text).wire


def test_nan_and_the_infinities_arrive() -> None:
    sent = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
    _, found = opened(PLAIN, sealed(PLAIN, Kind.MESSAGE, sent))
    assert math.isnan(found["nan"])
    assert (found["inf"], found["-inf"]) == (math.inf, -math.inf)


# What cannot be sent


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ({"at": object()}, "message.at"),
        ({"ids": [1, {2}]}, "message.ids[1]"),
        ({"big": 2**64}, "message.big"),
        ({"half": "\ud800"}, "message.half"),
    ],
)
def test_message_that_nobody_could_read_is_refused_with_its_path(value: Any, path: str) -> None:
    with pytest.raises(UnportableMessage) as refused:
        PLAIN.write(Kind.MESSAGE, value)
    assert refused.value.path == path
    with pytest.raises(UnportableMessage) as refused:
        PLAIN.write(Kind.SEND, ["specific.channel", value])
    assert refused.value.path == path


# What cannot be read


@given(st.binary())
def test_garbage_is_nothing_but_garbled(data: bytes) -> None:
    for sealer in (PLAIN, LOCKED):
        try:
            opened(sealer, data)
        except Garbled:
            continue


@given(st.binary(), st.integers(0, 255), st.sampled_from(sorted(Kind)))
def test_garbage_in_a_parcel_is_nothing_but_garbled(content: bytes, flags: int, kind: Kind) -> None:
    for sealer in (PLAIN, LOCKED):
        try:
            opened(sealer, sealer.seal(kind, flags, content, node=1, sequence=2, at=3.0))
        except Garbled:
            continue


@given(st.data())
def test_parcel_with_a_byte_that_has_changed_is_read_or_garbled(data: st.DataObject) -> None:
    for sealer in (PLAIN, LOCKED):
        whole = bytearray(sealed(sealer, Kind.SEND, ["specific.channel", {"n": 1}]))
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
        try:
            opened(sealer, bytes(whole))
        except Garbled:
            continue


@given(st.data())
def test_part_of_a_parcel_is_garbled(data: st.DataObject) -> None:
    whole = sealed(PLAIN, Kind.MESSAGE, {"type": "test.message"})
    part = whole[: data.draw(st.integers(0, len(whole) - 1))]
    assert why_garbled(PLAIN, part) == "garbage"


def test_message_that_is_no_dict_is_garbage() -> None:
    assert why_garbled(PLAIN, sealed(PLAIN, Kind.MESSAGE, ["no", "dict"])) == "garbage"


def test_other_version_is_refused_as_such() -> None:
    whole = sealed(PLAIN, Kind.MESSAGE, {})
    assert why_garbled(PLAIN, bytes([VERSION + 1]) + whole[1:]) == "version"


def test_unknown_kind_is_refused_as_such() -> None:
    whole = sealed(PLAIN, Kind.MESSAGE, {})
    unknown = whole[:2] + struct.pack("!B", max(Kind) + 1) + whole[3:]
    assert why_garbled(PLAIN, unknown) == "kind"


# Encryption


def test_what_is_encrypted_cannot_be_read_by_who_listens() -> None:
    data = sealed(LOCKED, Kind.MESSAGE, {"type": "secret.message"})
    assert b"secret" not in data
    assert b"secret" in sealed(PLAIN, Kind.MESSAGE, {"type": "secret.message"})


def test_plain_parcel_is_refused_where_there_are_keys() -> None:
    assert why_garbled(LOCKED, sealed(PLAIN, Kind.MESSAGE, {})) == "encryption"


def test_encrypted_parcel_is_refused_where_there_are_no_keys() -> None:
    assert why_garbled(PLAIN, sealed(LOCKED, Kind.MESSAGE, {})) == "encryption"


def test_parcel_under_an_unknown_key_is_refused() -> None:
    assert why_garbled(Sealer(["another"]), sealed(LOCKED, Kind.MESSAGE, {})) == "encryption"


def test_keys_are_replaced_one_after_the_other() -> None:
    old, new = Sealer(["old"]), Sealer(["new"])
    both = Sealer(["new", "old"])
    for writer, reader in ((old, both), (both, both), (both, new)):
        _, found = opened(reader, sealed(writer, Kind.MESSAGE, {"n": 1}))
        assert found == {"n": 1}
    assert why_garbled(old, sealed(both, Kind.MESSAGE, {})) == "encryption"


def test_key_is_a_string_or_the_same_as_bytes() -> None:
    _, found = opened(Sealer([b"a secret"]), sealed(LOCKED, Kind.MESSAGE, {"n": 1}))
    assert found == {"n": 1}
