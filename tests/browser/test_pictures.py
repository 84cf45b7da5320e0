"""The pictures of the demo in the docs, which `make pictures` makes anew."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.browser.pages import Browse, Visit, join, wait_for_message, write
from tests.servers import ROOT, Server, demo_beside_stock

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.long

LARGEST = 150_000
"""Bytes of a picture."""
SCREEN = {"viewport": {"width": 1280, "height": 800}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with demo_beside_stock(tmp_path_factory.mktemp("demo")) as server:
        yield server


def test_picture_of_the_chat(visit: Visit) -> None:
    ada = visit("Ada", "tea", **SCREEN)
    wile, mei = visit("wile", "tea", password="demo"), visit("Mei", "tea")
    for page, text in (
        (mei, "The kettle is on. Who wants Darjeeling?"),
        (wile, "Me, please! Back from the canyon in ten minutes."),
        (wile, "The rocket skates are fine, I am less so."),
        (ada, "One for me as well. I bring scones ☕"),
        (mei, "Then we are complete."),
    ):
        write(page, text)
        wait_for_message(ada, text)
    for page in (ada, mei):
        join(page, "garden")
    for text in ("The roses are out", "Come and see"):
        write(mei, text)
        wait_for_message(ada, text)
    ada.get_by_role("link", name="tea").click()
    write(mei, "And bring the camera")
    ada.get_by_role("button", name="1 unread").wait_for()
    wile.get_by_role("textbox", name="Message to").press_sequentially("On my way")
    ada.get_by_text("wile is typing…").wait_for()
    picture(ada, "chat")


def test_picture_of_the_slow_client(browse: Browse, server: Server) -> None:
    page = browse(**SCREEN)
    page.goto(f"{server.url}/slow-client/")
    page.get_by_text("at most").first.wait_for()
    page.get_by_role("button", name="Open 20 stalled clients").click()
    page.get_by_role("button", name="Start the broadcast").click()
    page.get_by_role("status").get_by_text("The broadcast is over").wait_for(timeout=60_000)
    picture(page, "slow-client")


def picture(page: Page, name: str) -> None:
    file = ROOT / "docs" / f"{name}.png"
    page.screenshot(path=file, animations="disabled")
    assert file.stat().st_size < LARGEST
