"""The page of the slow client: two servers side by side, of which one keeps what nobody reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.pages import Browse
from tests.servers import Server, demo_beside_stock, demo_server

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
RUN = 60_000
"""Milliseconds within which a broadcast of twenty seconds is over."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with demo_beside_stock(tmp_path_factory.mktemp("demo")) as server:
        yield server


def test_memory_of_stock_climbs_and_ours_stays_flat(browse: Browse, server: Server) -> None:
    page = browse()
    show(page, server)
    before = [figure(cell) for cell in cells(page, "Memory")]
    run(page)
    page.get_by_role("status").get_by_text("The broadcast is over").wait_for(timeout=RUN)
    ours, stock = (figure(cell) - at_first for cell, at_first in memory_beside(page, before))
    assert stock > 100
    assert stock > 10 * ours
    assert [figure(cell) for cell in cells(page, "Evicted")] == [20, 0]
    assert figure(cells(page, "Waiting for clients")[0]) < 1
    assert figure(cells(page, "Waiting for clients")[1]) > 100
    assert height_of_line(cells(page, "Memory")[1]) > 5 * height_of_line(cells(page, "Memory")[0])


def test_stop_and_reset_begins_anew(browse: Browse, server: Server) -> None:
    page = browse()
    show(page, server)
    run(page)
    page.get_by_role("status").get_by_text("has evicted all 20").wait_for(timeout=RUN)
    page.get_by_role("button", name="Stop and reset").click()
    page.get_by_role("button", name="Start the broadcast").and_(page.locator(":enabled")).wait_for()
    for measure in ("Evicted", "Waiting for clients"):
        for cell in cells(page, measure):
            cell.locator("strong").get_by_text("0", exact=True).wait_for()


def test_buttons_are_used_by_the_keyboard(browse: Browse, server: Server) -> None:
    page = browse()
    show(page, server)
    page.get_by_role("button", name="Open 20 stalled clients").focus()
    page.keyboard.press("Enter")
    page.get_by_role("status").get_by_text("do not read").wait_for()
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.get_by_role("status").get_by_text("Both servers broadcast").wait_for()
    page.keyboard.press("Enter")  # The next button has the focus: this one is disabled.
    page.get_by_role("status").get_by_text("Stopped").wait_for()


def test_live_region_says_what_happens_and_no_figures(browse: Browse, server: Server) -> None:
    page = browse()
    show(page, server)
    heard = page.locator("[role=status], [role=alert], [role=log], [aria-live]").all_inner_texts()
    assert heard == ["Begin with the stalled clients."]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_is_wider_than_a_phone(browse: Browse, server: Server, scheme: str) -> None:
    page = browse(**PHONE, color_scheme=scheme)
    show(page, server)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_page_says_how_to_start_a_server_that_is_not_there(browse: Browse, tmp_path: Path) -> None:
    page = browse()
    with demo_server(tmp_path) as alone:
        page.goto(f"{alone.url}/slow-client/")
        page.get_by_text("Not there: start it with make demo").wait_for()
        page.get_by_text("Connected", exact=True).wait_for()
        cells(page, "Memory")[0].locator("strong").get_by_text(re.compile(r"\d")).wait_for()


def show(page: Page, server: Server) -> None:
    """Open the page, and return once both servers have said something of themselves."""
    page.goto(f"{server.url}/slow-client/")
    for cell in cells(page, "Memory"):
        cell.locator("strong").get_by_text(re.compile(r"\d")).wait_for()


def run(page: Page) -> None:
    page.get_by_role("button", name="Open 20 stalled clients").click()
    page.get_by_role("button", name="Start the broadcast").click()


def cells(page: Page, measure: str) -> tuple[Locator, Locator]:
    """Return what the table says of a measure: of our server, and of the other."""
    both = page.locator("tbody", has=page.get_by_role("rowheader", name=measure)).locator("td")
    return both.nth(0), both.nth(1)


def memory_beside(page: Page, before: list[float]) -> Iterator[tuple[Locator, float]]:
    return zip(cells(page, "Memory"), before, strict=True)


def figure(cell: Locator) -> float:
    return float(cell.locator("strong").inner_text().replace(",", ""))


def height_of_line(cell: Locator) -> float:
    """Return how far a chart goes up and down, in its own units."""
    points = cell.locator("polyline").get_attribute("points") or ""
    heights = [float(point.partition(",")[2]) for point in points.split()]
    return max(heights) - min(heights)
