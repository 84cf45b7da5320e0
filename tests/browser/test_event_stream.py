"""Pages that only listen, and pages that hear on where WebSockets are blocked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.blocking import BlockingProxy
from tests.browser.gateway_pages import Pages, heard, page_server, say, until
from tests.servers import Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser

BLOCKED = re.compile(
    r"WebSocket connection to 'ws://\S+' failed: "
    r"(Error during WebSocket handshake: Unexpected response code: 403|.*net::ERR_\w+.*)"
    r"|Failed to load resource: net::ERR_\w+|.*net::ERR_\w+"
    r"|Failed to load resource: the server responded with a status of 50\d.*"
)
"""What Chromium says of sockets that a proxy refuses, and of a server that is away."""

NATIVE = """() => {
  globalThis.source = new EventSource("/events?name=native");
  globalThis.events = [];
  source.onmessage = ({ data }) => events.push(JSON.parse(data).event);
}"""


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def server(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with page_server(tmp_path_factory.mktemp(request.param), request.param) as server:
        yield server


@pytest.fixture(scope="module")
def proxy(server: Server) -> Iterator[BlockingProxy]:
    with BlockingProxy(server.port) as proxy:
        yield proxy


@pytest.fixture
def behind(browser: Browser, proxy: BlockingProxy, pages: Pages) -> Iterator[Pages]:
    """Pages that see the server through the proxy."""
    behind = Pages(browser, proxy)  # type: ignore[arg-type]  # It has an address, too.
    behind.expected = BLOCKED
    yield behind
    assert behind.failures == []


def test_page_behind_a_proxy_hears_what_is_said_and_cannot_answer(
    behind: Pages, pages: Pages, proxy: BlockingProxy
) -> None:
    blocked = proxy.blocked
    listener, speaker = behind.joined("ada", stream="1"), pages.joined("bob")
    assert say(speaker, "hello") is True
    assert heard(listener, "hello") == ["hello"]
    assert proxy.blocked > blocked
    answer = "gateway.request('echo', 1).catch(({ code }) => code)"
    assert listener.evaluate(answer) == "unsupported"
    listener.evaluate("gateway.join('coffee')")
    until(listener, "gateway.join('coffee').isJoined && gaps.length === 1")
    assert say(speaker, "still there?") is True
    assert heard(listener, "still there?") == ["hello", "still there?"]


def test_page_that_is_let_through_does_not_listen_to_a_stream(pages: Pages) -> None:
    page = pages.joined("carol", stream="1")
    assert page.evaluate("gateway.request('echo', 1)") == 1
    assert pages.facts("carol")["attempts"] == 1


def test_page_that_is_turned_away_by_a_stream_stays_away(behind: Pages, pages: Pages) -> None:
    page, speaker = behind.joined("mallory", stream="1"), pages.joined("dave")
    speaker.evaluate("gateway.emit('end streams', 4403)")
    until(page, "gateway.state === 'closed'")
    assert page.evaluate("states.at(-1)") == "closed 4403"


def test_page_behind_a_proxy_comes_back_after_a_restart_when_it_was_told_to(
    behind: Pages, pages: Pages, server: Server
) -> None:
    page = behind.joined("eve", stream="1")
    pages.expected = BLOCKED
    server.stop()
    until(page, "states.includes('waiting 1012')")
    spread = 1000 / 500 * 3  # Milliseconds: of no more than three clients, at 500 in a second.
    assert page.evaluate("delays[0]") <= spread
    server.start()
    until(page, "joins.length === 2")
    speaker = pages.joined("frank")
    assert say(speaker, "hello again") is True
    assert heard(page, "hello again")


def test_browser_without_a_module_of_ours_hears_and_is_told_when_to_come_back(
    pages: Pages,
) -> None:
    page, speaker = pages.open("gwen"), pages.joined("heidi")
    page.evaluate(NATIVE)
    until(page, "events.includes('gateway:joined')")
    speaker.evaluate("gateway.emit('end streams', 1012)")
    until(page, "events.filter((event) => event === 'gateway:welcome').length === 2")
    speaker.evaluate("gateway.emit('end streams', 4403)")
    until(page, "source.readyState === EventSource.CLOSED")
    assert page.evaluate("events.at(-1)") == "gateway:bye"
    facts = pages.facts("native")  # The last attempt was answered with 204.
    assert (facts["opened"], facts["attempts"]) == (2, 3)
