"""What the clients of tests and benchmarks that have no library send and read."""

from __future__ import annotations

import pytest

from benchmarks.wire import TEXT, client_frame


@pytest.mark.parametrize(
    ("size", "header"),
    [
        (0, b"\x81\x80"),
        (125, b"\x81\xfd"),
        (126, b"\x81\xfe\x00\x7e"),
        (65535, b"\x81\xfe\xff\xff"),
        (65536, b"\x81\xff\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_length_of_a_frame_takes_as_few_bytes_as_it_can(size: int, header: bytes) -> None:
    payload = bytes(size)
    assert client_frame(payload, TEXT) == header + bytes(4) + payload
