"""The examples on the page about the protocol: what is sent there is answered as it says."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from channels.testing import WebsocketCommunicator

from arcly_channels.close_codes import CloseCode
from arcly_channels.testing.waiting import DEADLINE
from arcly_channels.wire import protocol
from tests.documents import DOCS, blocks, section, table

PAGE = DOCS / "reference" / "protocol.md"
TEXT = PAGE.read_text(encoding="utf-8")
ANY = "…"


def matches(found: Any, wanted: Any) -> bool:
    """Return whether a frame is the one on the page, where `…` stands for anything."""
    if wanted == ANY:
        return True
    if isinstance(wanted, dict) and isinstance(found, dict):
        return list(found) == list(wanted) and all(matches(found[k], wanted[k]) for k in wanted)
    return bool(found == wanted)


def steps(dialect: str) -> list[tuple[str, Any]]:
    (dialog,) = re.findall(rf"^```{re.escape(dialect)}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    lines = [line.partition(" ") for line in dialog.splitlines()]
    return [(way, json.loads(re.sub(r": …", ': "…"', frame))) for way, _, frame in lines]


@pytest.mark.parametrize("dialect", ["bare", "arcly.v1"])
async def test_dialog_goes_as_the_page_says(dialect: str, settings: Any) -> None:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": "arcly_channels.layers.LocalChannelLayer"}}
    names: dict[str, Any] = {}
    exec(blocks(TEXT, "python")[0], names)
    subprotocols = [] if dialect == "bare" else [dialect]
    socket = WebsocketCommunicator(names["Chat"].as_asgi(), "/", subprotocols=subprotocols)
    await socket.connect(timeout=DEADLINE)
    for way, frame in steps(dialect):
        if way == ">":
            await socket.send_json_to(frame)
        else:
            found = await socket.receive_json_from(timeout=DEADLINE)
            assert matches(found, frame), f"{found} is not {frame}"
    await socket.disconnect()


def test_every_event_of_the_protocol_is_on_the_page() -> None:
    events = {row["event"] for row in table(section(PAGE, "`arcly.v1`").partition("###")[0])}
    names = {value for value in vars(protocol).values() if isinstance(value, str)}
    own = {name for name in names if name.startswith("gateway:") and name != protocol.RESERVED}
    assert own | {"error", "auth.refresh", "auth.refreshed"} == events - {"any event"}


def test_advice_is_that_of_the_codes() -> None:
    rows = table(section(PAGE, "The end").partition("to come back, at")[2])
    told = {int(code): row for row in rows for code in row["code"].split(", ")}
    assert told.keys() == {int(code) for code in CloseCode}
    for code in CloseCode:
        row = told[int(code)]
        assert row["reconnect"] == code.reconnect
        if code.reconnect != "no":
            spread = "by the number" if code.spread is None else str(code.spread)
            assert (row["after"], row["spread"]) == (str(code.after), spread)
