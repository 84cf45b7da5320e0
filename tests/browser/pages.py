"""What people do on the page of the demo, and what a page may not do to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tests.node import installed

if TYPE_CHECKING:
    from playwright.sync_api import Page

Browse = Callable[..., "Page"]
"""Opens a browser for somebody, and returns an empty page of it."""

Visit = Callable[..., "Page"]
"""Lets somebody enter a room under a name, and returns the page."""


def join(page: Page, room: str, *, shown: str = "") -> None:
    page.get_by_label("Room to join").fill(room)
    page.get_by_role("button", name="Join").click()
    page.get_by_role("link", name=shown or room).and_(page.locator("[aria-current]")).wait_for()


def write(page: Page, text: str) -> None:
    page.get_by_role("textbox", name="Message to").fill(text)
    page.get_by_role("button", name="Send").click()


def wait_for_message(page: Page, text: str) -> None:
    page.get_by_role("log").get_by_text(text, exact=True).wait_for()


def wait_for_connection(page: Page) -> None:
    page.get_by_role("status").get_by_text("Connected", exact=True).wait_for()


def in_module(page: Page, module: str, script: str) -> Any:
    """Return what a script makes of `module`, which is one of the page's own, as the page has it.

    The page is the chat; `script` is the body of an async function.
    """
    return page.evaluate(
        f"async () => {{ const module = await import('/static/chat/{module}.js'); {script} }}"
    )


def violations(page: Page) -> list[str]:
    """Return what axe-core finds, as a line for each rule and element."""
    # No script of the page's: its policy would not let that in.
    page.evaluate(installed("axe-core/axe.min.js").read_text())
    found = page.evaluate("axe.run()")["violations"]
    return [f"{each['id']}: {node['html']}" for each in found for node in each["nodes"]]
