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
from tests.browser.pages import Visit
from tests.servers import Server, skip_for_want_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Error, Page

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
def visit(browser: Browser, server: Server) -> Iterator[Visit]:
    """Opens a browser of its own for a person, who picks a name and a room, or logs in.

    The server is the fixture of that name of the module. No script of any page may fail.
    """
    contexts: list[BrowserContext] = []
    failures: list[Error] = []

    def enter(
        name: str, room: str, *, password: str = "", host: str = "127.0.0.1", **options: Any
    ) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: failures.append(error))
        page.set_default_timeout(DEADLINE)
        page.goto(f"http://{host}:{server.port}")
        page.get_by_label("Your name").fill(name)
        page.get_by_label("Password").fill(password)
        page.get_by_label("Room").fill(room)
        page.get_by_role("button", name="Enter").click()
        page.get_by_role("status").get_by_text("Connected", exact=True).wait_for()
        return page

    yield enter
    for context in contexts:
        context.close()
    assert failures == []
