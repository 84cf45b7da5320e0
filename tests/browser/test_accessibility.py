"""The pages of the demo, looked at by axe-core: roles, labels and contrast, in light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.pages import Browse, Visit, join, violations, wait_for_message, write
from tests.node import packages
from tests.servers import Server, demo_beside_stock

SCREENS: dict[str, dict[str, Any]] = {
    f"{scheme}, {name}": {"color_scheme": scheme, "viewport": {"width": width, "height": 800}}
    for scheme in ("light", "dark")
    for name, width in (("desktop", 1280), ("phone", 390))
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    packages()
    with demo_beside_stock(tmp_path_factory.mktemp("demo")) as server:
        yield server


@pytest.fixture(params=list(SCREENS.values()), ids=list(SCREENS))
def screen(request: pytest.FixtureRequest) -> dict[str, Any]:
    screen: dict[str, Any] = request.param
    return screen


def test_entrance_has_no_violations(browse: Browse, server: Server, screen: dict[str, Any]) -> None:
    page = browse(**screen)
    page.goto(server.url)
    page.get_by_text("Accounts and tenants").click()
    page.get_by_label("Your name").fill("wile")
    page.get_by_role("button", name="Enter").click()
    page.get_by_text("That name has an account").wait_for()
    assert violations(page) == []


def test_chat_has_no_violations(visit: Visit, server: Server, screen: dict[str, Any]) -> None:
    admin = visit("admin", "tea", password="demo", **screen)
    guest = visit("Ada", "tea")
    write(guest, "Hello")
    wait_for_message(admin, "Hello")
    join(admin, "garden")
    write(guest, "Are you there?")
    admin.get_by_role("button", name="1 unread").wait_for()
    guest.get_by_role("textbox", name="Message to").press_sequentially("Hm")
    assert violations(admin) == []
    admin.get_by_role("link", name="tea").click()
    assert violations(admin) == []


def test_chat_without_a_connection_has_no_violations(
    visit: Visit, server: Server, screen: dict[str, Any]
) -> None:
    page = visit("Ada", "tea", **screen)
    server.stop()
    try:
        write(page, "Are you there?")
        page.get_by_text("Not sent: the connection was away").wait_for(timeout=30_000)
        page.locator(".banner").get_by_text("Next attempt").wait_for()
        assert violations(page) == []
    finally:
        server.start()


def test_slow_client_has_no_violations(
    browse: Browse, server: Server, screen: dict[str, Any]
) -> None:
    page = browse(**screen)
    page.goto(f"{server.url}/slow-client/")
    page.get_by_text("What is measured").click()
    page.get_by_text("at most").first.wait_for()
    assert violations(page) == []
