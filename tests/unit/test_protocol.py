"""The frames that this side sends of its own accord: they cannot fail."""

from __future__ import annotations

import json
import re
from typing import Any
from unittest import mock

import orjson
import pytest

from arcly_channels.close_codes import CloseCode
from arcly_channels.exceptions import MalformedFrame
from arcly_channels.wire import blame, envelope, protocol
from arcly_channels.wire.envelope import decode
from tests.documents import DOCS, section, table
from tests.frames import FRAMES


def data_of(text: str) -> Any:
    return json.loads(text)["data"]


def test_error_has_code_message_and_ref() -> None:
    text = protocol.error_frame("code", "message", 7).text
    assert text == '{"event":"error","data":{"code":"code","message":"message"},"ref":7}'


def test_bye_says_how_to_reconnect() -> None:
    bye = data_of(protocol.bye_frame(CloseCode.SLOW_CONSUMER, "slow").text)
    assert bye == {
        "code": 4008,
        "reason": "slow",
        "reconnect": "yes",
        "after": 1000,
        "spread": 4000,
    }


def test_bye_spreads_those_who_come_back_as_told() -> None:
    assert data_of(protocol.bye_frame(CloseCode.SERVICE_RESTART, "", 1500).text)["spread"] == 1500


@pytest.mark.parametrize("code", [1011, 1012, 4008, 4010, 4012, 4401, 4403])
def test_bye_says_why_where_nobody_else_has(code: int) -> None:
    assert data_of(protocol.bye_frame(code, "").text)["reason"]
    assert data_of(protocol.bye_frame(code, "tea time").text)["reason"] == "tea time"


def test_code_of_ones_own_is_not_for_reconnecting() -> None:
    assert data_of(protocol.bye_frame(4999, "").text)["reconnect"] == "no"


@pytest.mark.parametrize("said", ["\ud800", None, 1 << 64, object(), b"\xff", "x" * 2**20])
def test_error_can_be_written_whatever_it_says(said: object) -> None:
    data = data_of(protocol.error_frame(said, said).text)
    assert len(data["code"]) <= 4096
    assert len(data["message"]) <= 4096


def test_bye_can_be_written_whatever_it_says() -> None:
    assert data_of(protocol.bye_frame(4403, "\ud800").text)["reason"] == "?"


@pytest.mark.parametrize("text", FRAMES.values(), ids=FRAMES)
def test_reply_to_any_frame_is_short_and_written_once(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is read is checked by at most one writing; what is replied is written once."""
    written = mock.Mock(wraps=orjson.dumps)
    for module in (envelope, blame):
        monkeypatch.setattr(module, "orjson", mock.Mock(dumps=written, loads=orjson.loads))
    try:
        event = decode(text)
        reply = protocol.error_frame("unknown_event", envelope.escaped(event.event), event.ref)
    except MalformedFrame as error:
        reply = protocol.error_frame("malformed", error.problem, error.ref)
    assert written.call_count <= 2
    assert reply.size < 1000


def test_codes_of_errors_are_those_of_the_reference() -> None:
    rows = table(section(DOCS / "reference" / "errors.md", "Error codes"))
    known = {
        protocol.MALFORMED,
        protocol.UNKNOWN_EVENT,
        protocol.FORBIDDEN,
        protocol.UNAUTHENTICATED,
        protocol.INVALID_PAYLOAD,
        protocol.INVALID_ROOM,
        protocol.INTERNAL,
        protocol.TOO_MANY_ROOMS,
        protocol.RATE_LIMITED,
        protocol.TIMEOUT,
        protocol.UNAVAILABLE,
        protocol.OUTCOME_UNKNOWN,
    }
    assert {code for row in rows for code in re.split(r",\s*", row["code"])} == known
