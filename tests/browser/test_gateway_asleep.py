"""Pages that are frozen, kept for the way back, or left for good."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser.gateway_pages import FROZEN, Pages, heard, page_server, say, until
from tests.clients import connected
from tests.servers import Server, skip_for_want_of


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with page_server(tmp_path_factory.mktemp("asleep")) as server:
        yield server


def test_frozen_tab_is_evicted_under_a_flood_and_recovers_when_it_is_active(pages: Pages) -> None:
    pages.expected = FROZEN
    tab = pages.tab("frozen")
    tab.hide()
    until(tab, "document.hidden")
    tab.freeze()
    with connected(pages.server, path="/ws/chat?name=flood", subprotocol="arcly.v1") as flood:
        flood.send("flood", {"room": "frozen"})
        pages.until_server_has("frozen", ends=[4008])
    assert tab.evaluate("states") == ["connecting", "open"]  # It has not heard of it.
    tab.thaw()
    tab.show()
    until(tab, "joins.length === 2")
    assert tab.evaluate("gaps") == ["frozen"]
    say(tab, "awake", room="frozen")
    assert heard(tab, "awake") == ["awake"]


def test_page_that_somebody_comes_back_to_has_one_connection_and_hears_all_once(
    pages: Pages,
) -> None:
    page = pages.joined("kept")
    page.evaluate(
        "addEventListener('pageshow', ({ persisted }) => { globalThis.kept = persisted })"
    )
    page.goto(f"{pages.server.url}/two_lines.html")
    pages.until_server_has("kept", ends=[1000])
    page.go_back(wait_until="commit")
    if not page.evaluate("globalThis.kept"):
        skip_for_want_of("the back/forward cache of Chromium")
    until(page, "joins.length === 2")
    assert page.evaluate("states") == ["connecting", "open", "waiting", "connecting", "open"]
    assert page.evaluate("gaps") == ["tea"]
    say(page, "back")
    say(page, "again")
    assert heard(page, "again") == ["back", "again"]
    facts = pages.facts("kept")
    assert (facts["attempts"], facts["ends"]) == (2, [1000])


def test_page_that_is_left_for_good_leaves_no_connection(pages: Pages) -> None:
    page = pages.joined("gone")
    page.close()
    pages.until_server_has("gone", attempts=1, ends=[1001])
