"""A page that nobody looks at, whose timers hardly run, and a server that wants to hear of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser.conftest import launched
from tests.browser.gateway_pages import Pages, page_server, until
from tests.servers import Server

if TYPE_CHECKING:
    from playwright.sync_api import Browser

IDLE_TIMEOUT = 6

TICKING = """
globalThis.lastTick = 0;
(function tick() { lastTick = performance.now(); setTimeout(tick, 100); })();
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Lets timers of hidden pages run once a minute after some seconds, and not after minutes."""
    with launched("--enable-features=IntensiveWakeUpThrottling:grace_period_seconds/1") as browser:
        yield browser


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Wants a frame as a sign of life, as under uvicorn nothing else is seen, and does not wait."""
    hurry = {"TEST_PING_INTERVAL": "1", "TEST_IDLE_TIMEOUT": str(IDLE_TIMEOUT)}
    with page_server(tmp_path_factory.mktemp("hidden"), "uvicorn", **hurry) as server:
        yield server


def test_hidden_tab_stays_connected_while_its_timers_stand_still(pages: Pages) -> None:
    tab = pages.tab("hidden")
    assert tab.evaluate("welcomes[0].pong") is True
    tab.evaluate(TICKING)
    tab.hide()
    until(tab, "document.hidden")
    # No timer has run for twice as long as the server waits.
    until(tab, f"performance.now() - lastTick > {2000 * IDLE_TIMEOUT}")
    tab.show()
    until(tab, "!document.hidden")
    assert tab.evaluate("states") == ["connecting", "open"]
    facts = pages.facts("hidden")
    assert (facts["attempts"], facts["ends"]) == (1, [])
