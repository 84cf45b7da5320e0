"""The pages about migrating: people do the same on a page before and after its diff."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import urlopen

import pytest

from tests.browser.pages import wait_for_message
from tests.browser.sites import Open, site
from tests.clients import DEADLINE
from tests.documents import DOCS, blocks, section

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHANNELS = DOCS / "how-to" / "migrate-from-channels.md"
SOCKETIO = DOCS / "how-to" / "migrate-from-socketio.md"
SOCKETIO_CLIENT = "socket.io-client/dist/socket.io.min.js"


@pytest.mark.parametrize("steps", [0, 2], ids=["before", "after"])
def test_people_chat_with_stock_channels_and_after_it(
    steps: int, tmp_path: Path, open_page: Open
) -> None:
    diffs = blocks(CHANNELS.read_text(encoding="utf-8"), "diff")[:steps]
    with site(tmp_path, section(CHANNELS, "Before"), diffs=diffs) as server:
        chat(server.url, open_page)


@pytest.mark.parametrize("steps", [0, 1], ids=["before", "after"])
def test_people_chat_with_socketio_and_after_it(
    steps: int, tmp_path: Path, open_page: Open
) -> None:
    diffs = blocks(SOCKETIO.read_text(encoding="utf-8"), "diff")[:steps]
    with site(tmp_path, section(SOCKETIO, "Before"), SOCKETIO_CLIENT, diffs=diffs) as server:
        ada, bob = chat(server.url, open_page)
        ada.get_by_label("Message").press_sequentially(" ")
        bob.get_by_role("status").get_by_text("Somebody writes").wait_for()
        assert ada.get_by_role("status").text_content() == ""
        ada.get_by_role("button", name="Send").click()
        ada.get_by_role("status").get_by_text("Write something.").wait_for()


def chat(url: str, open_page: Open) -> tuple[Page, Page]:
    """Have two people hear the server, and each other."""
    ada, bob = open_page(url), open_page(url)
    deadline = time.monotonic() + DEADLINE
    while not all(each.get_by_text("I am boiling!").count() for each in (ada, bob)):
        assert time.monotonic() < deadline, "not both are connected"
        with urlopen(f"{url}/kettle/", timeout=DEADLINE):
            ada.wait_for_timeout(50)  # What it says is on its way.
    ada.get_by_label("Message").fill("The <b>kettle</b> is on")
    ada.get_by_role("button", name="Send").click()
    for each in (ada, bob):
        wait_for_message(each, "The <b>kettle</b> is on")
    assert ada.get_by_label("Message").input_value() == ""
    return ada, bob
