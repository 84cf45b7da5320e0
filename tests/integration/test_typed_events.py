"""The page about typed events: its gateway does what it says, and type checkers find it right."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

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
        assert (await socket.receive())["event"] == "gateway:welcome"
        yield socket


async def test_client_is_told_what_the_page_shows(client: Socket) -> None:
    shown = blocks(PAGE.read_text(encoding="utf-8"), "console")[0].splitlines()
    for line in shown:
        if line.startswith("> "):
            await client.send_text(line[2:])
        else:
            assert await client.receive() == json.loads(line[2:])
    assert len(shown) == 4


async def test_message_is_sent_and_replied_as_its_model_says(client: Socket) -> None:
    message = {"room": "tea", "text": "hi"}
    await client.send("message.send", message, ref=1)
    details = (await client.receive())["data"]["details"]
    assert details == [{"path": "data.room", "message": "join it first"}]
    await client.send("gateway:join", {"room": "tea"})
    assert (await client.receive())["event"] == "gateway:joined"
    await client.send("message.send", message, ref=2)
    assert await client.receive_event() == ("message.receive", {"id": 1, **message})
    assert await client.receive_event() == ("gateway:reply", {"id": 1, **message})


def test_type_checkers_look_at_what_the_page_shows() -> None:
    """`make check` has mypy and pyright read `tests/author.py`, with one mistake that they find."""
    authored = (ROOT / "tests" / "author.py").read_text(encoding="utf-8")
    assert authored.startswith(CODE)
