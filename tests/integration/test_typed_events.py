"""The page about typed events: its gateway does what it says, and type checkers find it right."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from arcly_channels import EventRefused
from tests.documents import DOCS, blocks
from tests.gateways import Socket, connected
from tests.servers import ROOT

PAGE = DOCS / "how-to" / "typed-events.md"
CODE = blocks(PAGE.read_text(encoding="utf-8"), "python")[0]


@pytest.fixture(scope="module")
def chat() -> Any:
    names: dict[str, Any] = {"__name__": "typed_chat"}
    exec(CODE, names)
    return SimpleNamespace(**names).Chat


@pytest.fixture
async def client(chat: Any, layer: Any) -> AsyncIterator[Socket]:
    async with connected(chat.as_asgi(), subprotocols=["arcly.v1"]) as socket:
        yield socket


async def test_client_is_told_what_the_page_shows(client: Socket) -> None:
    shown = blocks(PAGE.read_text(encoding="utf-8"), "console")[0].splitlines()
    for line in shown:
        if line.startswith("> "):
            await client.send_to(line[2:])
        else:
            assert await client.receive_json_from() == json.loads(line[2:])
    assert len(shown) == 4


async def test_message_is_sent_and_replied_as_its_model_says(client: Socket) -> None:
    message = {"room": "tea", "text": "hi"}
    with pytest.raises(EventRefused) as refused:
        await client.request("message.send", message)
    assert refused.value.details == [{"path": "data.room", "message": "join it first"}]
    await client.join("tea")
    assert await client.request("message.send", message) == {"id": 1, **message}
    await client.expect("message.receive", {"id": 1, **message}, room="tea")


def test_type_checkers_look_at_what_the_page_shows() -> None:
    """`make check` has mypy and pyright read `tests/author.py`, with one mistake that they find."""
    authored = (ROOT / "tests" / "author.py").read_text(encoding="utf-8")
    assert authored.startswith(CODE)
