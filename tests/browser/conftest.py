"""Chromium, and people who visit the demo with it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.gateway_pages import Pages
from tests.browser.pages import Browse, Visit, wait_for_connection
from tests.browser.sites import Open
from tests.servers import Server, skip_for_want_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
DEADLINE = 15_000
"""Milliseconds that a page may take to show something."""


UNLIKE_BROWSERS = ["--disable-back-forward-cache", "--disable-background-timer-throttling"]
"""What Playwright switches off, and people have."""


@contextmanager
def launched(*flags: str) -> Iterator[Browser]:
    """Run Chromium; skip the test where there is none."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        skip_for_want_of("playwright")
    chromium = os.environ.get("ARCLY_CHROMIUM") or shutil.which("chromium")
    if chromium is None or not Path(chromium).exists():
        skip_for_want_of("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=[*FLAGS, *flags], ignore_default_args=UNLIKE_BROWSERS
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser


@pytest.fixture
def pages(browser: Browser, server: Server) -> Iterator[Pages]:
    """Pages of the module's server, in whose consoles there may be no error at the end."""
    pages = Pages(browser, server)
    yield pages
    pages.close()
    assert pages.failures == []


@pytest.fixture
def browse(browser: Browser) -> Iterator[Browse]:
    """Opens a browser of its own for a person, with the options of Playwright's contexts.

    No script of any page may fail, and none may complain in its console; that a server is away, or
    refuses something, is no complaint.
    """
    contexts: list[BrowserContext] = []
    failures: list[str] = []

    def open_page(**options: Any) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        context.on("weberror", lambda failed: failures.append(str(failed.error)))
        context.on("console", lambda message: failures.extend(complaints(message)))
        page = context.new_page()
        page.set_default_timeout(DEADLINE)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert failures == []


@pytest.fixture
def visit(browse: Browse, server: Server) -> Visit:
    """Has a person come to the chat, pick a name and a room, or log in.

    The server is the fixture of that name of the module.
    """

    def enter(
        name: str, room: str, *, password: str = "", host: str = "127.0.0.1", **options: Any
    ) -> Page:
        page = browse(**options)
        page.goto(f"http://{host}:{server.port}")
        page.get_by_label("Your name").fill(name)
        page.get_by_label("Password").fill(password)
        page.get_by_label("Room").fill(room)
        page.get_by_role("button", name="Enter").click()
        wait_for_connection(page)
        return page

    return enter


@pytest.fixture
def open_page(browse: Browse) -> Open:
    """Opens an address in a browser of its own."""

    def opened(url: str) -> Page:
        page = browse()
        page.goto(url)
        return page

    return opened


def complaints(message: ConsoleMessage) -> list[str]:
    """Return what a page says in its console, if it is more than a word about a server."""
    is_about_server = message.text.startswith(("Failed to load resource", "WebSocket connection"))
    is_bad = message.type in ("error", "warning") and not is_about_server
    return [message.text] if is_bad else []
