"""Which of several servers has a name: the same in every process, and the next year."""

from __future__ import annotations

from collections import Counter

import pytest

from arcly_channels.relay.shards import _jump

NAMES = [b"arcly:1:g:room-%d" % number for number in range(10_000)]


@pytest.mark.parametrize("number", [1, 2, 3, 8, 100])
def test_every_name_has_a_shard(number: int) -> None:
    assert {_jump(name, number) for name in NAMES} == set(range(number))


@pytest.mark.parametrize("number", [2, 3, 8])
def test_names_are_spread_evenly(number: int) -> None:
    fair = len(NAMES) / number
    for share in Counter(_jump(name, number) for name in NAMES).values():
        assert 0.85 * fair < share < 1.15 * fair


@pytest.mark.parametrize("number", [1, 2, 3, 8])
def test_new_shard_takes_its_part_and_nothing_else_moves(number: int) -> None:
    before = [_jump(name, number) for name in NAMES]
    after = [_jump(name, number + 1) for name in NAMES]
    moved = [new for old, new in zip(before, after, strict=True) if new != old]
    assert set(moved) == {number}
    assert len(moved) < 1.2 * len(NAMES) / (number + 1)


def test_processes_of_two_releases_agree() -> None:
    """These numbers travel: whoever changes them splits a project that is rolled out."""
    assert [_jump(name, 8) for name in NAMES[:12]] == [0, 1, 6, 7, 4, 1, 7, 7, 5, 6, 2, 4]
