"""The page about server-sent events: its application does what the page says."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace
from typing import Any

import pytest

from arcly_channels import CloseCode, EventStream, Refused, broadcast_to_room
from arcly_channels.exceptions import HandshakeTimedOut, NoPlace, ServerEnds
from arcly_channels.layers import LocalChannelLayer
from tests.documents import DOCS, blocks, section, table
from tests.node import CLIENT
from tests.streams import Listener, listening

PAGE = DOCS / "how-to" / "server-sent-events.md"
TEXT = PAGE.read_text(encoding="utf-8")
REFUSALS = {
    401: [Refused(CloseCode.UNAUTHENTICATED)],
    403: [Refused(CloseCode.FORBIDDEN), Refused(4000)],
    429: [Refused(CloseCode.TOO_MANY_CONNECTIONS), Refused(CloseCode.RATE_LIMITED)],
    503: [NoPlace(CloseCode.TOO_MANY_CONNECTIONS), HandshakeTimedOut(1), ServerEnds()],
}


@pytest.fixture(scope="module")
def site() -> Any:
    names: dict[str, Any] = {"__name__": "site"}
    exec(blocks(TEXT, "python")[0], names)
    return SimpleNamespace(**names)


async def test_feed_hears_the_news_and_the_rooms_that_it_asks_for(
    site: Any, layer: LocalChannelLayer
) -> None:
    query = "room=tea&room=staff-only"
    async with listening(site.application, query, path="/events/") as listener:
        frames = [await listener.receive() for _ in range(5)]
        assert [each["event"] for each in frames[1:]] == [
            "gateway:joined",
            "gateway:joined",
            "error",
            "feed.opened",
        ]
        assert [each.get("ref") for each in frames[1:4]] == [None, 1, 2]
        broadcast_to_room("news", "headline", 1)
        assert (await listener.receive())["room"] == "news"


async def test_order_is_found_in_the_path(site: Any, layer: LocalChannelLayer) -> None:
    async with listening(site.application, path="/events/orders/7/") as listener:
        await listener.receive()
        assert await listener.receive_event() == ("gateway:joined", {"room": "order 7"})


async def test_statuses_are_those_of_the_page(layer: LocalChannelLayer) -> None:
    rows = table(section(PAGE, "Who may come in"))
    assert {int(row["status"]) for row in rows} == {*REFUSALS, 405, 204}
    for status, refusals in REFUSALS.items():
        for refusal in refusals:
            assert await status_of(refusal) == status


async def status_of(refusal: Refused) -> int:
    class Feed(EventStream):
        async def authorize(self) -> None:
            raise refusal

    listener = Listener(Feed.as_asgi())
    status = await listener.ask()
    assert json.loads(await listener.whole())["event"] == "gateway:bye"
    assert ("retry-after" in listener.headers) == (status in (429, 503))
    await listener.hang_up()
    return status


def test_page_imports_what_the_module_exports() -> None:
    source = (CLIENT / "event-stream.js").read_text(encoding="utf-8")
    names = re.findall(r'import \{ (\w+) \} from "arcly-channels/event-stream"', TEXT)
    assert names == re.findall(r"^export function (\w+)", source, re.MULTILINE)
