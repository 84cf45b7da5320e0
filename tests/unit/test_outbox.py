"""The bounded outbox of one connection."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from arcly_channels.fanout.lanes import Lane
from arcly_channels.fanout.outbox import CUT, Outbox, offer
from arcly_channels.wire.envelope import Frame
from tests.peers import Peer

FRAME = Frame(b"x" * 10)


class Relieved(list[Outbox]):
    """A watch that notes who was relieved."""

    def relieved(self, outbox: Outbox) -> None:
        self.append(outbox)


def watched(outbox: Outbox) -> Relieved:
    outbox.watch = relieved = Relieved()
    return relieved


def filled(outbox: Outbox, frames: int) -> Outbox:
    for _ in range(frames):
        assert outbox.put(FRAME)
    return outbox


# Bounds


def test_outbox_takes_max_frames_and_no_more() -> None:
    outbox = filled(Outbox(max_frames=3), 3)
    assert not outbox.put(FRAME)


def test_outbox_takes_max_bytes_and_no_more() -> None:
    outbox = filled(Outbox(max_bytes=30), 3)
    assert not outbox.put(Frame(b"y"))


def test_refused_frame_leaves_the_outbox_as_it_was() -> None:
    outbox = filled(Outbox(max_frames=1), 1)
    outbox.put(FRAME)
    assert (outbox.pending_frames, outbox.pending_bytes) == (1, 10)


def test_frame_larger_than_max_bytes_is_taken_alone() -> None:
    assert Outbox(max_bytes=5).put(FRAME)


def test_frame_larger_than_max_bytes_is_refused_behind_another() -> None:
    outbox = Outbox(max_bytes=15)
    outbox.put(Frame(b"x"))
    assert not outbox.put(Frame(b"y" * 16))


def test_nothing_fits_behind_a_frame_larger_than_max_bytes() -> None:
    outbox = filled(Outbox(max_bytes=5), 1)
    assert not outbox.put(Frame(b""))


def test_outbox_has_room_again_after_a_take() -> None:
    outbox = filled(Outbox(max_frames=2, max_bytes=20), 2)
    outbox.take()
    assert outbox.put(FRAME)


@pytest.mark.parametrize("bound", ["max_frames", "max_bytes"])
def test_bound_below_one_is_refused(bound: str) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Outbox(**{bound: 0})  # type: ignore[arg-type]  # Which of the two is a parameter.


# Order and counts


def test_frames_come_out_in_the_order_they_went_in() -> None:
    outbox = Outbox()
    frames = [Frame.from_text(text) for text in "abc"]
    for frame in frames:
        outbox.put(frame)
    assert [outbox.take() for _ in frames] == frames


def test_empty_outbox_gives_nothing() -> None:
    assert Outbox().take() is None


def test_pending_counts_follow_puts_and_takes() -> None:
    outbox = filled(Outbox(), 3)
    outbox.take()
    assert (outbox.pending_frames, outbox.pending_bytes) == (2, 20)


def test_pending_counts_are_right_after_a_close() -> None:
    outbox = filled(Outbox(), 2)
    outbox.close(1000)
    assert (outbox.pending_frames, outbox.pending_bytes) == (2, 20)


def test_taken_frames_are_counted() -> None:
    outbox = filled(Outbox(), 3)
    outbox.take()
    outbox.take()
    assert outbox.taken == 2


# High and low water


@pytest.mark.parametrize(
    ("frames", "is_pressed"),
    [(4, False), (5, True)],
    ids=["half of the frames", "more"],
)
def test_outbox_is_pressed_above_half_of_its_frames(frames: int, is_pressed: bool) -> None:
    assert filled(Outbox(max_frames=8), frames).is_pressed is is_pressed


@pytest.mark.parametrize(
    ("frames", "is_pressed"),
    [(4, False), (5, True)],
    ids=["half of the bytes", "more"],
)
def test_outbox_is_pressed_above_half_of_its_bytes(frames: int, is_pressed: bool) -> None:
    assert filled(Outbox(max_bytes=80), frames).is_pressed is is_pressed


def test_pressed_outbox_is_relieved_at_a_quarter() -> None:
    outbox = filled(Outbox(max_frames=8), 6)
    told = watched(outbox)
    assert [bool(outbox.take() and told) for _ in range(4)] == [False, False, False, True]


def test_pressed_outbox_that_is_refilled_on_its_way_down_is_relieved_all_the_same() -> None:
    outbox = filled(Outbox(max_frames=8), 6)
    told = watched(outbox)
    for _ in range(3):
        outbox.take()
    assert outbox.put(Frame.from_text("one more"))
    outbox.discard()
    assert told == [outbox]


def test_outbox_that_was_not_pressed_is_not_relieved() -> None:
    outbox = filled(Outbox(max_frames=8), 4)
    told = watched(outbox)
    outbox.discard()
    assert not told


def test_closing_relieves_a_pressed_outbox() -> None:
    outbox = filled(Outbox(max_frames=8), 8)
    told = watched(outbox)
    outbox.close(1000)
    assert told == [outbox]
    assert not outbox.is_pressed


# Taking many frames at once


def wired(outbox: Outbox, *texts: str) -> bytes:
    """Put the texts into an outbox, and return how they go on the wire together."""
    frames = [Frame.from_text(text) for text in texts]
    assert all(map(outbox.put, frames))
    return b"".join(frame.wire for frame in frames)


@pytest.mark.parametrize("texts", [(), ("a",), ("a", "b", "c")], ids=len)
def test_all_frames_within_the_limit_are_taken_at_once(texts: tuple[str, ...]) -> None:
    outbox = Outbox()
    wire = wired(outbox, *texts)
    assert outbox.take_wire(100) == wire
    assert (outbox.pending_frames, outbox.pending_bytes, outbox.taken) == (0, 0, len(texts))


def test_frames_beyond_the_limit_are_left() -> None:
    outbox = Outbox()
    wire = wired(outbox, *("x" * 10 for _ in range(5)))
    assert outbox.take_wire(20) == wire[:24]
    assert (outbox.pending_frames, outbox.pending_bytes, outbox.taken) == (3, 30, 2)


@pytest.mark.parametrize("behind", [0, 1])
def test_frame_larger_than_the_limit_is_taken_alone(behind: int) -> None:
    outbox = Outbox()
    wire = wired(outbox, "x" * 100)
    filled(outbox, behind)
    assert outbox.take_wire(10) == wire
    assert outbox.pending_frames == behind


def test_taking_many_frames_relieves_a_pressed_outbox() -> None:
    outbox = filled(Outbox(max_frames=8), 8)
    told = watched(outbox)
    outbox.take_wire(1000)
    assert (told, outbox.is_pressed) == ([outbox], False)


def test_taking_one_large_frame_relieves_a_pressed_outbox() -> None:
    outbox = filled(Outbox(max_bytes=10), 1)
    told = watched(outbox)
    outbox.take_wire(1000)
    assert (told, outbox.is_pressed) == ([outbox], False)


def test_long_backlog_is_taken_in_batches_of_about_the_limit() -> None:
    outbox = filled(Outbox(max_frames=1000), 1000)
    sizes = [len(outbox.take_batch(95)) for _ in range(3)]
    assert (sizes, outbox.pending_frames, outbox.taken) == ([10, 10, 10], 970, 30)


def test_backlog_of_a_closed_outbox_is_taken_at_once() -> None:
    outbox = Outbox()
    wire = wired(outbox, "a", "b")
    outbox.close(1000)
    assert outbox.take_wire(100) == wire
    assert (outbox.pending_frames, outbox.pending_bytes) == (0, 0)


# Closing


def test_closed_outbox_takes_no_frame() -> None:
    outbox = Outbox()
    outbox.close(1000)
    assert not outbox.put(FRAME)


def test_closed_outbox_gives_its_backlog() -> None:
    outbox = filled(Outbox(), 1)
    outbox.close(1000)
    assert outbox.take() is FRAME


def test_only_the_first_close_counts() -> None:
    outbox = Outbox()
    outbox.close(4008, "slow")
    outbox.close(1000, "bye")
    assert (outbox.close_code, outbox.close_reason) == (4008, "slow")


def test_discard_drops_the_backlog() -> None:
    outbox = filled(Outbox(), 3)
    outbox.discard()
    assert (outbox.pending_frames, outbox.pending_bytes) == (0, 0)


def test_cut_drops_the_backlog() -> None:
    outbox = filled(Outbox(transport=Peer()), 3)
    outbox.cut()
    assert (outbox.pending_frames, outbox.close_code) == (0, CUT)


def test_cut_keeps_the_code_of_an_earlier_close() -> None:
    outbox = Outbox()
    outbox.close(4008)
    outbox.cut()
    assert outbox.close_code == 4008


def test_cut_outbox_writes_nothing_more() -> None:
    peer = Peer()
    outbox = Outbox(transport=peer)
    outbox.cut()
    outbox.flush()
    assert not peer.flushes


# The lane


def test_lane_flushes_what_a_call_has_filled() -> None:
    peer = Peer()
    outbox = Outbox(transport=peer)
    outbox.lane.call(outbox.put, Frame.from_text("hello"))
    assert peer.texts == ["hello"]


def test_lane_flushes_what_a_call_has_closed() -> None:
    peer = Peer()
    outbox = Outbox(transport=peer)
    outbox.lane.call(outbox.close, 4000)
    assert peer.close_code == 4000


def test_lane_flushes_once_for_many_frames_of_one_call() -> None:
    peer = Peer()
    outbox = Outbox(transport=peer)
    outbox.lane.call(filled, outbox, 5)
    assert (len(peer.texts), peer.flushes) == (5, 1)


def test_lane_does_not_flush_again_what_a_full_peer_left() -> None:
    peer = Peer(is_reading=False)
    outbox = Outbox(transport=peer)
    outbox.lane.call(filled, outbox, 2)
    outbox.lane.call(filled, outbox, 2)
    assert peer.flushes == 1


# Offering to many


def test_offer_appends_the_frame_itself_to_every_outbox() -> None:
    lane = Lane()
    outboxes = [Outbox(lane) for _ in range(3)]
    assert not offer(FRAME, outboxes, lane.ready)
    assert all(outbox.take() is FRAME for outbox in outboxes)


def test_offer_makes_ready_what_was_empty() -> None:
    lane = Lane()
    empty, waiting = Outbox(lane), filled(Outbox(lane), 1)
    lane.ready.clear()
    offer(FRAME, [empty, waiting], lane.ready)
    assert lane.ready == [empty]


def test_offer_leaves_out_what_would_go_above_half_of_its_frames() -> None:
    half, less = filled(Outbox(max_frames=4), 2), filled(Outbox(max_frames=4), 1)
    assert offer(FRAME, [half, less], []) == [half]
    assert half.pending_frames == 2


def test_frames_that_are_small_for_a_lane_cannot_fill_half_of_an_outboxs_bytes() -> None:
    lane = Lane()
    outbox = Outbox(lane, max_frames=8, max_bytes=800)
    small = Frame(b"x" * lane.small)
    while not offer(small, [outbox], []):
        pass
    assert outbox.pending_bytes <= 400


def test_offer_leaves_out_what_holds_a_frame_that_is_not_small() -> None:
    outbox = Outbox(max_frames=8, max_bytes=800)
    outbox.put(Frame(b"x" * 101))
    assert offer(FRAME, [outbox], []) == [outbox]


@pytest.mark.parametrize("take", [Outbox.take, lambda outbox: outbox.take_wire(1000)])
def test_offer_fills_an_outbox_again_that_has_let_a_large_frame_go(
    take: Callable[[Outbox], object],
) -> None:
    outbox = Outbox(max_frames=8, max_bytes=800)
    outbox.put(Frame(b"x" * 101))
    take(outbox)
    assert offer(FRAME, [outbox], []) == []


def test_offer_leaves_out_what_is_closed() -> None:
    outbox = Outbox()
    outbox.close(1000)
    assert offer(FRAME, [outbox], []) == [outbox]


def test_offer_counts_the_bytes() -> None:
    outbox = Outbox()
    offer(FRAME, [outbox, outbox], [])
    assert (outbox.pending_frames, outbox.pending_bytes) == (2, 20)


# What it costs


def test_empty_frame_does_not_cost_the_one_behind_it() -> None:
    outbox = Outbox()
    outbox.put(Frame.from_text(""))
    outbox.put(Frame.from_text("behind it"))
    assert [taken.text for taken in iter(outbox.take, None)] == ["", "behind it"]


class Counted(Frame):
    """A frame that knows how often it was asked for its size."""

    __slots__ = ("looks", "real_size")

    @property
    def size(self) -> int:
        self.looks += 1
        return self.real_size

    @size.setter
    def size(self, size: int) -> None:
        self.real_size, self.looks = size, 0


@pytest.mark.parametrize("number", [300, 3000])
def test_backlog_costs_each_frame_the_same_however_long_it_is(number: int) -> None:
    outbox, frame = Outbox(max_frames=number, max_bytes=number * 5), Counted(b"frame")
    for _ in range(number):
        assert outbox.put(frame)
    while outbox.take() is not None:
        pass
    assert frame.looks <= 10 * number
