"""Why a connection ended, in one word."""

from __future__ import annotations

import pytest

from arcly_channels import DisconnectReason
from arcly_channels.layers import LocalChannelLayer
from arcly_channels.reasons import EXPIRED, SUSPENDED, of_close, of_peer
from arcly_channels.session.session import Session
from tests.documents import DOCS, section, table
from tests.unit.session.test_session import Wire, live, note_in, session, wire

__all__ = ["session", "wire"]


@pytest.mark.parametrize(
    ("code", "text", "reason"),
    [
        (1000, "", "refused"),
        (1009, "", "limit"),
        (1011, "", "error"),
        (1012, "", "shutdown"),
        (4000, "bye", "refused"),
        (4008, "", "slow"),
        (4012, "", "idle"),
        (4401, EXPIRED, "expired"),
        (4401, "the token was revoked", "kicked"),
        (4403, SUSPENDED, "suspended"),
        (4403, "the tenant was disconnected", "kicked"),
        (4429, "", "limit"),
    ],
)
async def test_close_of_this_side_has_a_reason(
    session: Session, wire: Wire, layer: LocalChannelLayer, code: int, text: str, reason: str
) -> None:
    await live(session, wire)
    session.close(code, text)
    await session.end(1011, note_in([]))
    assert session.disconnect_reason == reason == of_close(code, text)
    assert layer.disconnects == {reason: 1}


@pytest.mark.parametrize(
    ("code", "reason"),
    [(1000, "client"), (1001, "client"), (1005, "client"), (1006, "network"), (1012, "shutdown")],
)
async def test_end_by_the_peer_has_a_reason(
    session: Session, wire: Wire, code: int, reason: str
) -> None:
    await live(session, wire)
    session.peer_left(code)
    await session.end(1011, note_in([]))
    assert session.disconnect_reason == reason == of_peer(code)


@pytest.mark.parametrize(("code", "reason"), [(1000, "refused"), (1011, "error")])
async def test_end_that_nobody_asked_for_has_a_reason(
    session: Session, wire: Wire, code: int, reason: str
) -> None:
    await live(session, wire)
    await session.end(code, note_in([]))
    assert session.disconnect_reason == reason


async def test_what_came_first_counts(session: Session, wire: Wire) -> None:
    await live(session, wire)
    session.close(4008)
    session.peer_left(1006)
    await session.end(1011, note_in([]))
    assert session.disconnect_reason is DisconnectReason.SLOW


async def test_who_was_never_accepted_is_not_counted(
    session: Session, layer: LocalChannelLayer
) -> None:
    await session.end(1011, note_in([]))
    assert not layer.disconnects


def test_reference_has_every_reason() -> None:
    rows = table(section(DOCS / "reference" / "errors.md", "`DisconnectReason`"))
    assert [row["reason"] for row in rows] == [each.value for each in DisconnectReason]


def test_reason_reads_as_its_word() -> None:
    assert f"{DisconnectReason.IDLE} {DisconnectReason.IDLE!s}" == "idle idle"
