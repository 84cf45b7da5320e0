"""Pages that are turned away, and tokens that end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.browser.gateway_pages import Pages, page_server, until
from tests.servers import Server

MINUTES = 10 * 60 * 1000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with page_server(tmp_path_factory.mktemp("ends")) as server:
        yield server


def test_page_that_is_turned_away_for_good_does_not_come_back(pages: Pages) -> None:
    page = pages.open("eve", gateway="staff", lives="600", has_clock=True)
    until(page, "gateway.state === 'closed'")
    assert page.evaluate("states") == ["connecting", "closed 4403"]
    page.clock.run_for(MINUTES)
    page.evaluate("dispatchEvent(new Event('online'))")
    assert page.evaluate("states") == ["connecting", "closed 4403"]
    assert pages.facts("eve")["attempts"] == 1


def test_page_that_is_thrown_out_does_not_come_back(pages: Pages) -> None:
    page = pages.joined("mallory", has_clock=True)
    page.evaluate("gateway.emit('end', 4403)")
    until(page, "gateway.state === 'closed'")
    page.clock.run_for(MINUTES)
    assert page.evaluate("states") == ["connecting", "open", "closed 4403"]
    assert pages.facts("mallory")["attempts"] == 1


def test_page_whose_token_is_over_comes_back_with_another(pages: Pages) -> None:
    page = pages.open("ada", gateway="members", lives="-10,600")
    until(page, "gateway.state === 'open'")
    assert page.evaluate("states") == ["connecting", "waiting 4401", "connecting", "open"]
    facts = pages.facts("ada")
    assert (facts["attempts"], facts["tokens"]) == (2, 2)


def test_page_that_is_closed_for_its_token_comes_back_with_another(pages: Pages) -> None:
    page = pages.joined("bob", gateway="members", lives="600")
    page.evaluate("gateway.emit('end', 4401)")
    until(page, "joins.length === 2")
    assert page.evaluate("states.slice(2)") == ["waiting 4401", "connecting", "open"]
    facts = pages.facts("bob")
    assert (facts["attempts"], facts["tokens"]) == (2, 2)


def test_token_is_renewed_in_time_and_the_connection_outlives_the_first(pages: Pages) -> None:
    page = pages.joined("carol", gateway="members", lives="15,600")
    until(page, "Date.now() > 1000 * (welcomes[0].exp + 0.5)")  # The server has the same clock.
    assert page.evaluate("gateway.request('echo', 'still here')") == "still here"
    assert page.evaluate("states") == ["connecting", "open"]
    facts = pages.facts("carol")
    assert (facts["attempts"], facts["tokens"], facts["refreshed"]) == (1, 2, 1)
    assert facts["ends"] == []
